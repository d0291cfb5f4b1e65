// SPDX-License-Identifier: MIT
// The first k of a row's order, and its k-th element, without sorting the row: digit by digit, from the highest, of the key
// and then of the position (all pairs differ), the digits of the wanted one are found by counting, until few enough are left
// or come before it. Those are gathered, in any order, and sorted by key and position. Counts are whole numbers: that threads
// add them in any order changes nothing.
#include "sort_key.cuh"

namespace lamella::cuda {
namespace {

constexpr int64_t kRowsAtOnce = 8192, kStretch = 16384;
constexpr int kSelectThreads = 512;

// What is known of the wanted pair before a level: the bits of its key and position from the shifts up, how many pairs share
// them (`alike`) and how many come before all those; k: its place among these.
struct Known {
  uint64_t key, at;
  int64_t before, alike, k;
  int key_shift, at_shift;
  bool found;
};

template <class U> struct Select {
  SortKey<U> key;
  const U* x;
  U* values;
  int64_t* indices;
  int64_t rows, n, k, stretch;
  int rank, at_bits;   // bits that positions have
  Known* known;        // (levels + 1, rows)
  uint32_t* count;     // (levels, rows, 256)
  uint32_t *nans, *fill;  // (rows)
  U* candidate;        // keys (rows, kCandidates)
  uint32_t* place;

  GPU static int key_bits() { return int(sizeof(U)) * 8; }
  // Which digit level l looks at: of the key, or of the position.
  GPU void level(int l, int& key_shift, int& at_shift) const {
    const int of_key = int(sizeof(U));
    key_shift = l < of_key ? key_bits() - 8 * (l + 1) : 0;
    at_shift = l < of_key ? at_bits : int(most(at_bits - 8 * (l - of_key + 1), 0));
  }
};

GPU uint64_t shifted(uint64_t x, int by) { return by >= 64 ? 0 : x >> by; }

// What is known before level l, by its state before level l - 1 and what was counted there. A block calls; block 0 of the
// row writes it down.
template <class U> GPU Known known_before(const Select<U>& p, int l, int64_t row) {
  SHARED(Known, known, [1]);
  SHARED(uint32_t, sums, [kSelectThreads / 32]);
  if (l == 0) return {0, 0, 0, p.n, p.k, Select<U>::key_bits(), p.at_bits, false};
  Known s = p.known[(l - 1) * p.rows + row];
  if (!s.found) {
    if (l == 1) s.k = wanted_place(p.rank, p.k, p.n, p.nans[row]);
    const int d = int(threadIdx.x);
    const uint32_t here = d < kDigits ? p.count[((l - 1) * p.rows + row) * kDigits + d] : 0;
    const int64_t earlier = block_sum_before(here, sums);
    if (s.k >= earlier && s.k < earlier + here) {
      const int old_at = s.at_shift;
      p.level(l - 1, s.key_shift, s.at_shift);
      if (s.at_shift == old_at) s.key |= uint64_t(d) << s.key_shift;
      else s.at |= uint64_t(d) << s.at_shift;
      s.before += earlier;
      s.k -= earlier;
      s.alike = here;
      s.found = (p.rank < 0 ? s.before : 0) + s.alike <= kCandidates;
      known[0] = s;
    }
    __syncthreads();
    s = known[0];
  }
  if (blockIdx.y == 0 && threadIdx.x == 0) p.known[l * p.rows + row] = s;
  return s;
}

// Block (row, stretch).
template <class U> __global__ void __launch_bounds__(kSelectThreads) select_count(Select<U> p, int l) {
  SHARED(uint32_t, count, [4][kDigits]);
  SHARED(uint32_t, nans, [1]);
  const int64_t row = blockIdx.x, end = least((blockIdx.y + 1) * p.stretch, p.n);
  const Known s = known_before(p, l, row);
  if (l == 0 && blockIdx.y == 0 && threadIdx.x == 0) p.known[row] = s;
  if (s.found) return;
  for (int d = int(threadIdx.x); d < 4 * kDigits; d += kSelectThreads) count[d / kDigits][d % kDigits] = 0;
  if (threadIdx.x == 0) nans[0] = 0;
  __syncthreads();
  int key_shift, at_shift;
  p.level(l, key_shift, at_shift);
  const bool of_key = at_shift == s.at_shift;
  const int digit_bits = of_key ? 8 : s.at_shift - at_shift;
  const U* x = p.x + row * p.n;
  int nan = 0;
#pragma unroll 4
  for (int64_t j = blockIdx.y * p.stretch + threadIdx.x; j < end; j += kSelectThreads) {
    const U bits = x[j];
    const uint64_t key = p.key(bits);
    if (l == 0) nan += p.key.is_nan(bits);
    if (shifted(key ^ s.key, s.key_shift) || shifted(uint64_t(j) ^ s.at, s.at_shift)) continue;
    const unsigned digit = unsigned(of_key ? key >> key_shift : uint64_t(j) >> at_shift) & ((1u << digit_bits) - 1);
    atomicAdd(&count[threadIdx.x / 32 & 3][digit], 1u);
  }
  if (nan) atomicAdd(&nans[0], uint32_t(nan));
  __syncthreads();
  const int d = int(threadIdx.x);
  if (d < kDigits) {
    const uint32_t sum = count[0][d] + count[1][d] + count[2][d] + count[3][d];
    if (sum) atomicAdd(&p.count[(l * p.rows + row) * kDigits + d], sum);
  }
  if (d == 0 && nans[0]) atomicAdd(&p.nans[row], nans[0]);
}

template <class U> __global__ void __launch_bounds__(kSelectThreads) select_gather(Select<U> p, int levels) {
  const int64_t row = blockIdx.x, end = least((blockIdx.y + 1) * p.stretch, p.n);
  const Known s = known_before(p, levels, row);
  const U* x = p.x + row * p.n;
  const uint64_t key_high = shifted(s.key, s.key_shift), at_high = shifted(s.at, s.at_shift);
#pragma unroll 2
  for (int64_t j = blockIdx.y * p.stretch + threadIdx.x; j < end; j += kSelectThreads) {
    const U key = p.key(x[j]);
    const uint64_t k = shifted(key, s.key_shift), at = shifted(uint64_t(j), s.at_shift);
    const bool alike = k == key_high && at == at_high;
    const bool earlier = p.rank < 0 && (k < key_high || (k == key_high && at < at_high));
    if (!alike && !earlier) continue;
    const uint32_t to = atomicAdd(&p.fill[row], 1u);
    p.candidate[row * kCandidates + to] = key;
    p.place[row * kCandidates + to] = uint32_t(j);
  }
}

// A row's candidates by bitonic sort (Batcher 1968) in shared memory.
template <class U> __global__ void __launch_bounds__(kSelectThreads) select_finish(Select<U> p, int levels) {
  U* const key = dynamic_shared<U>();
  uint32_t* const at = reinterpret_cast<uint32_t*>(key + kCandidates);
  const int64_t row = blockIdx.x;
  const int n = int(p.fill[row]);
  int all = 32;
  while (all < n) all *= 2;
  for (int i = int(threadIdx.x); i < all; i += kSelectThreads) {
    key[i] = i < n ? p.candidate[row * kCandidates + i] : U(~U(0));
    at[i] = i < n ? p.place[row * kCandidates + i] : ~0u;
  }
  for (int size = 2; size <= all; size *= 2)
    for (int by = size / 2; by; by /= 2) {
      __syncthreads();
      for (int t = int(threadIdx.x); t < all / 2; t += kSelectThreads) {
        const int i = 2 * t - (t & (by - 1)), j = i + by;
        const U a = key[i], b = key[j];
        const uint32_t a_at = at[i], b_at = at[j];
        const bool turned = b < a || (b == a && b_at < a_at), up = (i & size) == 0;
        if (turned == up) { key[i] = b; key[j] = a; at[i] = b_at; at[j] = a_at; }
      }
    }
  __syncthreads();
  const U* x = p.x + row * p.n;
  if (p.rank < 0) {
    for (int i = int(threadIdx.x); i < p.k; i += kSelectThreads) {
      p.values[row * p.k + i] = x[at[i]];
      p.indices[row * p.k + i] = at[i];
    }
  } else if (threadIdx.x == 0) {
    const uint32_t found = at[p.known[levels * p.rows + row].k];
    p.values[row] = x[found];
    p.indices[row] = found;
  }
}

}  // namespace

void sort_select(const SortJob& a) {
  by_size(size_of(a.dtype), [&](auto u) {
    using U = decltype(u);
    const int64_t most_rows = least(a.outer, kRowsAtOnce);
    int at_bits = 1;
    while ((a.n - 1) >> at_bits) ++at_bits;
    const int levels = int(sizeof(U)) + (at_bits + 7) / 8;
    const size_t counts = size_t(most_rows * levels * kDigits), words = counts + size_t(2 * most_rows);
    const Temp known(size_t((levels + 1) * most_rows) * sizeof(Known)), count(words * 4),
        candidate(size_t(most_rows) * kCandidates * sizeof(U)), place(size_t(most_rows) * kCandidates * 4);
    const int64_t out = a.rank < 0 ? a.k : 1;
    for (int64_t row = 0; row < a.outer; row += most_rows) {
      const int64_t rows = least(most_rows, a.outer - row);
      Select<U> p{a.key<U>(), static_cast<const U*>(a.x) + row * a.n, static_cast<U*>(a.values) + row * out, a.indices + row * out,
                  rows, a.n, a.rank < 0 ? a.k - 1 : a.k, most(kStretch, ceil_div(a.n, 1024)), a.rank, at_bits, known.as<Known>(),
                  count.as<uint32_t>(), count.as<uint32_t>() + counts, count.as<uint32_t>() + counts + most_rows,
                  candidate.as<U>(), place.as<uint32_t>()};
      ok(cudaMemsetAsync(count.p, 0, words * 4, stream()), "select");
      const dim3 grid(unsigned(rows), unsigned(ceil_div(a.n, p.stretch)));
      for (int l = 0; l < levels; ++l) launch("select", select_count<U>, grid, dim3(kSelectThreads), 0, p, l);
      launch("select", select_gather<U>, grid, dim3(kSelectThreads), 0, p, levels);
      p.k = a.k;
      launch("select", select_finish<U>, dim3(unsigned(rows)), dim3(kSelectThreads), kCandidates * (sizeof(U) + 4), p, levels);
    }
  });
}

void topk(const TopK& a) {
  if (a.k == 0 || a.outer == 0) return;
  const SortJob job{a.dtype, a.outer, a.n, a.k, a.x, a.values, a.indices, a.largest, -1};
  const bool fits = a.n <= sort_tile(a.dtype), few = a.k <= kCandidates / 2 && 4 * a.k <= a.n;
  if (few && (!fits || (a.n > 2048 && a.outer >= 256))) return sort_select(job);
  fits ? sort_short(job) : sort_long(job);
}

void kth(const Kth& a) {
  if (a.outer == 0) return;
  const SortJob job{a.dtype, a.outer, a.n, a.k, a.x, a.values, a.indices, false, int(a.rank)};
  a.n <= sort_tile(a.dtype) ? sort_short(job) : sort_select(job);
}

}  // namespace lamella::cuda
