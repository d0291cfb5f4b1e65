// SPDX-License-Identifier: MIT
#include "hopper.h"
#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <vector>
#include "fibres.h"
#pragma GCC optimize("O3")

namespace emulate {
namespace {

struct Box { CUtensorMap map; int at[5]; uint32_t shared, barrier; };

uint32_t box_bytes(const CUtensorMap& m) {
  uint32_t n = uint32_t(m.strides[0]);
  for (int i = 0; i < m.rank; ++i) n *= m.box[i];
  return n;
}

struct Product {                      // one wgmma of a warpgroup
  uint64_t a, b;
  int n, issued = 0, taken = 0;
  bool add, transposed_a, transposed_b;
  float (*value)(uint16_t);
  std::vector<uint32_t> left;         // A's registers by thread, where it is not in shared memory
  std::vector<float> result;          // 64 x n, once computed
};
struct Accumulator { float* d; int n, in_flight; std::vector<float> truth; };
struct Pending { std::shared_ptr<Product> product; float* d; const uint32_t* a; };
struct Worker {                       // a thread's asynchronous state
  uint64_t issued = 0;
  bool fenced = false;
  std::deque<std::vector<Pending>> groups{1};  // the last is open
  std::vector<Accumulator> accumulators;
  std::deque<std::vector<Box>> stores{1};      // likewise
  std::vector<uint32_t> dirty;        // 16-byte pieces written since the last fence
};
struct Group { uint64_t first = 0; std::deque<std::shared_ptr<Product>> products; };
struct State {
  std::vector<Box> loads;
  std::map<int, Worker> workers;
  std::map<int, Group> groups;
  std::map<uint32_t, int64_t> expected;  // bytes still to come, by barrier
  std::set<int> storers;              // the threads that ever asked for a store
  unsigned turn = 0;

  int unfinished() const {
    int n = int(loads.size());
    for (auto& [i, w] : workers) {
      for (auto& g : w.groups) n += int(g.size());
      for (auto& g : w.stores) n += int(g.size());
    }
    return n;
  }
};

struct Marker { uint64_t magic; State* state; };
constexpr uint64_t kMagic = 0x5a17ab1e;
char marker_tag;
std::map<const Block*, std::unique_ptr<State>> states;
int left_over = 0;

State& state() {  // of the current block, made at its first use
  Marker& m = *static_cast<Marker*>(shared_static(&marker_tag, sizeof(Marker)));
  if (m.magic != kMagic) {
    auto& mine = states[current->block];
    if (mine) left_over += mine->unfinished();
    mine = std::make_unique<State>();
    m = {kMagic, mine.get()};
  }
  return *m.state;
}
Worker& worker() { return state().workers[current->number]; }

bool overlap(uint32_t a, uint32_t a_bytes, uint32_t b, uint32_t b_bytes) { return a < b + b_bytes && b < a + a_bytes; }
uint32_t swizzled(uint32_t at, int span) { return span ? at ^ (at >> 3 & 0x70) : at; }

// f(shared address, global pointer or null where outside, bytes) for pieces of up to 16 bytes that make up the box.
template <class F> void each_part(const Box& b, const F& f) {
  const CUtensorMap& m = b.map;
  const uint32_t element = uint32_t(m.strides[0]), row = m.box[0] * element;
  uint32_t rows = 1;
  for (int i = 1; i < m.rank; ++i) rows *= m.box[i];
  for (uint32_t r = 0; r < rows; ++r) {
    uint32_t rest = r;
    const char* p = static_cast<const char*>(m.base);
    bool inside = true;
    for (int i = 1; i < m.rank; ++i) {
      const int64_t x = int64_t(b.at[i]) + rest % m.box[i];
      rest /= m.box[i];
      inside &= x >= 0 && x < int64_t(m.dims[i]);
      p += x * int64_t(m.strides[i]);
    }
    for (uint32_t c = 0; c < row; c += 16) {
      const int64_t x = int64_t(b.at[0]) + c / element, n = 16 / element;
      const uint32_t to = swizzled(b.shared + r * row + c, m.swizzle);
      char* q = const_cast<char*>(p) + x * element;
      if (inside && x >= 0 && x + n <= int64_t(m.dims[0])) f(to, q, 16u);
      else
        for (int64_t i = 0; i < n; ++i)
          f(to + uint32_t(i) * element, inside && x + i >= 0 && x + i < int64_t(m.dims[0]) ? q + i * element : nullptr, element);
    }
  }
}

void check(const Box& b) {
  if (b.shared % 128) fail("a TMA copy of unaligned shared memory");
  if (b.map.swizzle && b.shared % 1024) fail("a swizzled TMA copy that does not begin at a multiple of 1024");
  shared_at(b.shared, box_bytes(b.map));
}

struct Word {                         // an mbarrier as it lies in shared memory
  uint16_t pending, arrivals;
  uint8_t phase, magic;
  int16_t spare;
};
static_assert(sizeof(Word) == 8);

Word& word(uint32_t at) {
  if (at % 8) fail("an unaligned mbarrier");
  Word& w = *reinterpret_cast<Word*>(shared_at(at, 8));
  if (w.magic != 0x5a) fail("an mbarrier that was not initialised");
  return w;
}
void advance(Word& w, int64_t bytes) {
  if (w.pending || bytes) return;
  w.phase ^= 1;
  w.pending = w.arrivals;
}

void land(State& s, size_t i) {
  const Box b = s.loads[i];
  s.loads.erase(s.loads.begin() + long(i));
  each_part(b, [](uint32_t to, const char* from, uint32_t bytes) {
    if (from) std::memcpy(shared_at(to, bytes), from, bytes);
    else std::memset(shared_at(to, bytes), 0, bytes);
  });
  Word& w = word(b.barrier);
  auto& left = s.expected[b.barrier];
  left -= box_bytes(b.map);
  advance(w, left);
}

bool stored(State& s, uint32_t at, uint32_t bytes) {  // a store has still to read of it
  for (int i : s.storers)
    for (auto& g : s.workers[i].stores)
      for (const Box& x : g)
        if (overlap(at, bytes, x.shared, box_bytes(x.map))) return true;
  return false;
}

// Where an element of a wgmma operand lies: PTX ISA, "Shared Memory Matrix Layout", canonical layouts for 128-byte swizzle.
uint32_t operand_at(uint64_t descriptor, bool mn_major, int mn, int k) {
  const uint32_t start = uint32_t(descriptor & 0x3fff) << 4, leading = uint32_t(descriptor >> 16 & 0x3fff) << 4,
                 stride = uint32_t(descriptor >> 32 & 0x3fff) << 4;
  const uint32_t i = uint32_t(mn), j = uint32_t(k);
  const uint32_t at = mn_major ? start + i / 64 * leading + j / 8 * stride + j % 8 * 128 + i % 64 * 2
                               : start + i / 8 * stride + i % 8 * 128 + j * 2;
  return swizzled(at, 128);
}
void check_descriptor(uint64_t d) {
  if (d >> 62 != 1 || d >> 49 & 7) fail("a wgmma descriptor other than of 128-byte swizzle with base offset 0");
}

template <class F> void each_piece(const Product& p, const F& f) {  // 16 bytes each, of both operands
  for (int side = p.left.empty() ? 0 : 1; side < 2; ++side) {
    const bool mn_major = side ? p.transposed_b : p.transposed_a;
    const int extent = side ? p.n : 64;
    for (int mn = 0; mn < extent; mn += mn_major ? 8 : 1)
      for (int k = 0; k < 16; k += mn_major ? 1 : 8) f(operand_at(side ? p.b : p.a, mn_major, mn, k) & ~15u);
  }
}

void add_rows(float* __restrict to, int n, const float* x, const float* y) {  // four rows of B
  const float x0 = x[0], x1 = x[1], x2 = x[2], x3 = x[3];
  for (int j = 0; j < n; ++j) to[j] += (x0 * y[j] + x1 * y[j + n]) + (x2 * y[j + 2 * n] + x3 * y[j + 3 * n]);
}

void compute(Product& p) {
  std::vector<float> a(64 * 16), b(size_t(16 * p.n));
  const auto element = [&](uint64_t d, bool mn_major, int mn, int k) {
    uint16_t bits;
    std::memcpy(&bits, shared_at(operand_at(d, mn_major, mn, k), 2), 2);
    return p.value(bits);
  };
  for (int k = 0; k < 16; ++k) {
    for (int i = 0; i < 64; ++i)
      if (p.left.empty()) a[size_t(i * 16 + k)] = element(p.a, p.transposed_a, i, k);
      else {  // PTX ISA, "Register Fragments for wgmma.mma_async.m64k16": pairs of k, rows 8 apart, then the upper 8 of k
        const int thread = i / 16 * 32 + i % 8 * 4 + k % 8 / 2, reg = i % 16 / 8 + k / 8 * 2;
        a[size_t(i * 16 + k)] = p.value(uint16_t(p.left[size_t(thread * 4 + reg)] >> 16 * (k % 2)));
      }
    for (int j = 0; j < p.n; ++j) b[size_t(k * p.n + j)] = element(p.b, p.transposed_b, j, k);
  }
  p.result.assign(size_t(64 * p.n), 0.0f);
  for (int i = 0; i < 64; ++i) {
    float* to = p.result.data() + i * p.n;
    for (int k = 0; k < 16; k += 4) add_rows(to, p.n, a.data() + i * 16 + k, b.data() + k * p.n);
  }
}

constexpr uint32_t kPoison = 0x7fc0dead;
void poison(float* d, int n) { for (int i = 0; i < n; ++i) std::memcpy(d + i, &kPoison, 4); }
bool poisoned(const float* d, int n) {
  for (int i = 0; i < n; ++i) if (std::memcmp(d + i, &kPoison, 4)) return false;
  return true;
}

}  // namespace

uint32_t shared_address(const void* p) {
  const char* base = static_cast<const char*>(shared_memory());
  const char* at = static_cast<const char*>(p);
  if (at < base || at >= base + shared_size()) fail("the shared address of what is not in dynamic shared memory");
  return uint32_t(at - base) + kSharedStart;
}
char* shared_at(uint32_t address, size_t bytes) {
  if (address < kSharedStart || address - kSharedStart + bytes > shared_size()) fail("an address outside shared memory");
  return static_cast<char*>(shared_memory()) + (address - kSharedStart);
}

bool encode(CUtensorMap& map, const void* base, int element, int rank, const uint64_t* dims, const uint64_t* strides,
            const uint32_t* box, int swizzle) {
  if (rank < 1 || rank > 5 || reinterpret_cast<uintptr_t>(base) % 16 || uint64_t(box[0]) * uint64_t(element) % 16) return false;
  if (swizzle && box[0] * uint32_t(element) > uint32_t(swizzle)) return false;
  map = CUtensorMap{};
  map.base = base;
  map.rank = rank;
  map.swizzle = swizzle;
  for (int i = 0; i < rank; ++i) {
    if (dims[i] == 0 || dims[i] > uint64_t(1) << 32 || box[i] == 0 || box[i] > 256) return false;
    map.dims[i] = dims[i];
    map.box[i] = box[i];
    map.strides[i] = i ? strides[i - 1] : uint64_t(element);
    if (i && (map.strides[i] % 16 || map.strides[i] >= uint64_t(1) << 40)) return false;
  }
  return true;
}

void barrier_init(uint32_t barrier, int arrivals) {
  Word& w = *reinterpret_cast<Word*>(shared_at(barrier, 8));
  w = {uint16_t(arrivals), uint16_t(arrivals), 0, 0x5a, 0};
  state().expected[barrier] = 0;
}
void barrier_arrive_expect(uint32_t barrier, int bytes) {
  Word& w = word(barrier);
  auto& left = state().expected[barrier];
  left += bytes;
  if (w.pending == 0) fail("more arrivals at an mbarrier than it awaits");
  --w.pending;
  advance(w, left);
}
void barrier_arrive(uint32_t barrier) {
  barrier_arrive_expect(barrier, 0);
  yield();  // whoever waits may go on before this thread does
}
bool barrier_passed(uint32_t barrier, int parity) {
  State& s = state();
  if (word(barrier).phase != parity) return true;
  std::vector<size_t> mine;
  for (size_t i = 0; i < s.loads.size(); ++i) if (s.loads[i].barrier == barrier) mine.push_back(i);
  if (!mine.empty()) land(s, mine[s.turn++ % mine.size()]);  // in no order
  return word(barrier).phase != parity;
}

void tensor_load(uint32_t to, const CUtensorMap& map, const int* at, uint32_t barrier) {
  State& s = state();
  Box b{map, {}, to, barrier};
  std::copy(at, at + map.rank, b.at);
  check(b);
  word(barrier);
  const uint32_t bytes = box_bytes(map);
  for (const Box& x : s.loads)
    if (overlap(to, bytes, x.shared, box_bytes(x.map))) fail("a TMA load of what another still fills");
  if (stored(s, to, bytes)) fail("a TMA load of what a store still reads");
  for (auto& [i, g] : s.groups)
    for (auto& p : g.products)
      if (p->result.empty())
        each_piece(*p, [&](uint32_t piece) {
          if (overlap(to, bytes, piece, 16)) fail("a TMA load of what a wgmma still reads");
        });
  std::memset(shared_at(to, bytes), 0xff, bytes);  // NaN
  s.loads.push_back(b);
}

void tensor_store(const CUtensorMap& map, const int* at, uint32_t from) {
  State& s = state();
  Box b{map, {}, from, 0};
  std::copy(at, at + map.rank, b.at);
  check(b);
  for (auto& [i, w] : s.workers)
    for (uint32_t piece : w.dirty)
      if (overlap(from, box_bytes(map), piece, 16)) fail("a TMA store of what was written without a proxy fence");
  worker().stores.back().push_back(b);
  s.storers.insert(current->number);
}
void tensor_commit() { worker().stores.emplace_back(); }
void tensor_wait(int groups_left) {
  auto& groups = worker().stores;
  while (int(groups.size()) - 1 > groups_left) {
    for (const Box& b : groups.front())
      each_part(b, [](uint32_t from, char* to, uint32_t bytes) { if (to) std::memcpy(to, shared_at(from, bytes), bytes); });
    groups.pop_front();
  }
}

void note_write(const void* p, int bytes) {
  const uint32_t at = shared_address(p);
  State& s = state();
  if (stored(s, at, uint32_t(bytes))) fail("a write to what a TMA store still reads");
  for (int i = 0; i < bytes; i += 16) s.workers[current->number].dirty.push_back((at + uint32_t(i)) & ~15u);
}
void proxy_fence() { worker().dirty.clear(); }

void wgmma_fence() { worker().fenced = true; }

namespace {

void issue(float* d, const Product& x, const uint32_t* left) {
  State& s = state();
  Worker& w = s.workers[current->number];
  Group& g = s.groups[current->number / 128];
  const uint64_t number = w.issued++;
  if (number == g.first + g.products.size()) {
    if (!left) check_descriptor(x.a);
    check_descriptor(x.b);
    auto p = std::make_shared<Product>(x);
    if (left) p->left.resize(4 * 128);
    each_piece(*p, [&](uint32_t piece) {
      for (const Box& b : s.loads)
        if (overlap(piece, 16, b.shared, box_bytes(b.map))) fail("a wgmma of what a TMA load has still to fill");
    });
    g.products.push_back(p);
  }
  const auto& p = g.products[size_t(number - g.first)];
  if (p->a != x.a || p->b != x.b || p->n != x.n || p->add != x.add || p->transposed_a != x.transposed_a ||
      p->transposed_b != x.transposed_b || p->left.empty() != !left)
    fail("a wgmma whose threads do not agree");
  if (left) std::copy(left, left + 4, p->left.begin() + current->number % 128 * 4);
  ++p->issued;
  Accumulator* mine = nullptr;
  for (auto& acc : w.accumulators) if (acc.d == d) mine = &acc;
  if (!mine) mine = &w.accumulators.emplace_back(Accumulator{d, x.n, 0, {}});
  if (mine->in_flight == 0) {
    if (!w.fenced) fail("a wgmma without wgmma.fence after its accumulators were touched");
    mine->truth.assign(d, d + x.n / 2);
    poison(d, x.n / 2);
  } else if (!poisoned(d, x.n / 2)) fail("accumulators written while a wgmma is in flight");
  ++mine->in_flight;
  w.groups.back().push_back({p, d, left});
}

}  // namespace

void wgmma(float* d, int n, uint64_t a, uint64_t b, bool add, bool transposed_a, bool transposed_b, float (*value)(uint16_t)) {
  Product p{};
  p.a = a, p.b = b, p.n = n, p.add = add, p.transposed_a = transposed_a, p.transposed_b = transposed_b, p.value = value;
  issue(d, p, nullptr);
}
void wgmma_left(float* d, int n, const uint32_t* a, uint64_t b, bool transposed_b, float (*value)(uint16_t)) {
  Product p{};
  p.b = b, p.n = n, p.add = true, p.transposed_b = transposed_b, p.value = value;
  issue(d, p, a);
}
void wgmma_commit() { worker().groups.emplace_back(); }
void wgmma_wait(int groups_left) {
  Worker& w = worker();
  Group& group = state().groups[current->number / 128];
  const int thread = current->number % 128, row = thread / 32 * 16 + thread % 32 / 4, col = thread % 4 * 2;
  while (int(w.groups.size()) - 1 > groups_left) {
    for (const Pending& x : w.groups.front()) {
      Product& p = *x.product;
      while (p.issued < 128) yield();  // the instruction is that of all four warps
      if (x.a && std::memcmp(x.a, p.left.data() + 4 * thread, 16)) fail("a wgmma's registers written while it is in flight");
      if (p.result.empty()) compute(p);
      for (auto& acc : w.accumulators) {
        if (acc.d != x.d) continue;
        for (int i = 0; i < p.n / 2; ++i) {
          const float y = p.result[size_t((row + 8 * (i / 2 % 2)) * p.n + col + 8 * (i / 4) + i % 2)];
          acc.truth[size_t(i)] = p.add ? acc.truth[size_t(i)] + y : y;
        }
        if (--acc.in_flight == 0) {
          std::copy(acc.truth.begin(), acc.truth.end(), acc.d);
          w.fenced = false;
        }
      }
      if (++p.taken == 128)
        while (!group.products.empty() && group.products.front()->taken == 128) { group.products.pop_front(); ++group.first; }
    }
    w.groups.pop_front();
  }
}

int unfinished() {
  int n = left_over;
  left_over = 0;
  for (auto& [block, s] : states) n += s->unfinished();
  states.clear();
  return n;
}

}  // namespace emulate
