// SPDX-License-Identifier: MIT
// Hopper's instructions on the emulated device: the maps of swizzled tiles and accumulators, barriers' phases, TMA boxes at
// the edges, wgmma with every layout of its operands; and that what would be a race on a GPU is found.
#include "cuda/hopper.cuh"
#include <set>
#include <string>
#include <vector>
#include "check.h"

using namespace lamella;
using namespace lamella::cuda;

namespace {

void maps() {
  std::set<uint32_t> to;
  for (uint32_t at = 0; at < 2048; at += 16) to.insert(swizzle128(at));
  CHECK(to.size() == 128);
  for (uint32_t at = 0; at < 4096; ++at) {
    CHECK(swizzle128(swizzle128(at)) == at);
    CHECK(swizzle128(at) / 128 == at / 128 && swizzle128(at) % 16 == at % 16);
  }
  for (uint32_t piece = 0; piece < 8; ++piece) {  // a column of pieces of 8 rows lies in 8 different bank groups
    std::set<uint32_t> banks;
    for (uint32_t row = 0; row < 8; ++row) banks.insert(swizzle128(row * 128 + piece * 16) % 128);
    CHECK(banks.size() == 8);
  }
  for (int n : {64, 128, 256}) {
    std::set<int> seen;
    for (int t = 0; t < 128; ++t)
      for (int i = 0; i < n / 2; ++i) {
        CHECK(d_row(t, i) >= 0 && d_row(t, i) < 64 && d_col(t, i) >= 0 && d_col(t, i) < n);
        CHECK(d_row(t, i) / 16 == t / 32);  // a warp keeps 16 rows
        seen.insert(d_row(t, i) * n + d_col(t, i));
      }
    CHECK(int(seen.size()) == 64 * n);
  }
  static_assert(k_major(0x1400) == (uint64_t(0x140) | uint64_t(1) << 16 | uint64_t(64) << 32 | uint64_t(1) << 62));
  static_assert(mn_major(0x400, 8192) == (uint64_t(0x40) | uint64_t(512) << 16 | uint64_t(64) << 32 | uint64_t(1) << 62));
  static_assert(k_major(0x1400) + 3 * kNextK == k_major(0x1400 + 96));
  static_assert(mn_major(0x400, 8192) + kNextKTransposed == mn_major(0x400 + 16 * 128, 8192));
}

// A value of every element that no other has; exact in bfloat16 and small enough for exact sums.
float value(int i) { return float((i * 37 + i / 7) % 15 - 7); }

// One box of kWidth x kHeight at (x, y, z), loaded and stored to another tensor.
struct Move { CUtensorMap from, to; int at[3], bytes; };
__global__ void move_box(const __grid_constant__ Move p) {
  char* shared = dynamic_shared<char>();
  const uint32_t box = shared_address(shared), bar = box + 16384;
  if (threadIdx.x == 0) {
    barrier_init(bar, 1);
    barrier_fence();
  }
  __syncthreads();
  for (int round = 0; round < 3; ++round) {
    if (threadIdx.x == 0) {
      barrier_arrive_expect(bar, p.bytes);
      tensor_load<3>(box, p.from, p.at, bar);
    }
    barrier_wait(bar, round % 2);
    __syncthreads();
    if (threadIdx.x == 0) {
      tensor_store<3>(p.to, p.at, box);
      tensor_commit();
      tensor_wait_read<0>();
    }
    __syncthreads();
  }
}

void boxes() {
  const int64_t x = 72, y = 21, z = 3;
  const int64_t dims[3] = {70, y, z}, strides[2] = {x, x * y};
  std::vector<bf16> from(size_t(x * y * z));
  for (size_t i = 0; i < from.size(); ++i) from[i] = bf16::from(float(int(i % 251) + 1));
  const int box[3] = {64, 16, 1};
  for (int at_x : {0, 64, 8, -8, 128}) for (int at_y : {0, 16, -3, 40}) for (int at_z : {0, 2}) {
    std::vector<bf16> to(from.size(), bf16::from(-1));
    Move p;
    CHECK(tensor_map(p.from, from.data(), 3, dims, strides, box) && tensor_map(p.to, to.data(), 3, dims, strides, box));
    p.at[0] = at_x; p.at[1] = at_y; p.at[2] = at_z;
    p.bytes = 64 * 16 * 2;
    launch("move", move_box, dim3(2), dim3(64), 16384 + 64, p);
    CHECK(emulate::unfinished() == 0);
    bool right = true;
    for (int k = 0; k < z; ++k) for (int j = 0; j < y; ++j) for (int i = 0; i < x; ++i) {
      const size_t o = size_t((k * y + j) * x + i);
      const bool in = k == at_z && j >= at_y && j < at_y + 16 && i >= at_x && i < at_x + 64 && i < 70;
      right &= to[o].bits == (in ? from[o].bits : bf16::from(-1).bits);
    }
    CHECK(right);
  }
  CUtensorMap m;
  const int64_t odd[2] = {x + 1, x * y};
  CHECK(!tensor_map(m, from.data(), 3, dims, odd, box));           // rows not of 16 bytes
  CHECK(!tensor_map(m, from.data() + 1, 3, dims, strides, box));   // nor its start
  const int wide[3] = {128, 16, 1}, tall[3] = {64, 257, 1};
  CHECK(!tensor_map(m, from.data(), 3, dims, strides, wide) && !tensor_map(m, from.data(), 3, dims, strides, tall));
}

// c (64, kN) = a (64, k) b (k, kN), k = 32 or 64 of a tile of 64; `fault` is what goes wrong.
enum class Fault { none, early_read, no_fence, touched, not_arrived, overwritten, no_proxy_fence, no_wait, twice };
struct Product { CUtensorMap a, b, c; float* d; int k; Fault fault; };
template <class T, int kN, bool kTA, bool kTB> __global__ void product(const __grid_constant__ Product p) {
  char* shared = dynamic_shared<char>();
  const uint32_t a = shared_address(shared), b = a + 8192, bar = b + kN * 128;
  const int t = int(threadIdx.x);
  const auto load = [&](int k) {
    if (kTA) tensor_load<2>(a, p.a, {0, k}, bar); else tensor_load<2>(a, p.a, {k, 0}, bar);
    for (int j = 0; j < (kTB ? kN / 64 : 1); ++j)
      if (kTB) tensor_load<2>(b + j * 8192, p.b, {64 * j, k}, bar); else tensor_load<2>(b, p.b, {k, 0}, bar);
  };
  if (t == 0) {
    barrier_init(bar, 1);
    barrier_fence();
  }
  __syncthreads();
  if (t == 0) {
    barrier_arrive_expect(bar, 8192 + kN * 128);
    load(0);
    if (p.fault == Fault::twice) load(0);
  }
  if (p.fault != Fault::not_arrived) barrier_wait(bar, 0);
  __syncthreads();
  float d[kN / 2];
  for (float& x : d) x = 1;
  if (p.fault != Fault::no_fence) wgmma_fence();
  for (int j = 0; j < p.k / 16; ++j) {
    wgmma<T, kN, kTA, kTB>(d, (kTA ? mn_major(a, 8192) : k_major(a)) + j * (kTA ? kNextKTransposed : kNextK),
                           (kTB ? mn_major(b, 8192) : k_major(b)) + j * (kTB ? kNextKTransposed : kNextK), true);
    if (p.fault == Fault::touched) d[3] = 0;
  }
  wgmma_commit();
  if (p.fault == Fault::overwritten && t == 0) load(64);
  __syncthreads();
  if (p.fault == Fault::early_read) wgmma_wait<1>(); else wgmma_wait<0>();
  for (int i = 0; i < kN / 2; ++i) p.d[d_row(t, i) * kN + d_col(t, i)] = d[i];
  if (p.fault == Fault::no_proxy_fence || p.fault == Fault::no_wait) {
    const uint32_t r[4] = {1, 2, 3, 4};
    __syncthreads();
    stmatrix4(shared + t % 64 * 128, r);
    if (p.fault == Fault::no_wait) proxy_fence();
    __syncthreads();
    if (t == 0) tensor_store<2>(p.a, {0, 0}, a);
    if (t == 0) tensor_commit();
  }
}

template <class T, int kN, bool kTA, bool kTB> std::string multiply(int k, Fault fault = Fault::none) {
  std::vector<T> a(64 * 64), b(64 * kN);  // (64, 64) by rows, or by columns if transposed; b (64, kN) likewise
  for (size_t i = 0; i < a.size(); ++i) a[i] = T::from(value(int(i)));
  for (size_t i = 0; i < b.size(); ++i) b[i] = T::from(value(int(i) * 3 + 1));
  std::vector<float> d(64 * kN);
  Product p;
  p.d = d.data(); p.k = k; p.fault = fault;
  const int64_t of_a[2] = {64, 64}, of_b[2] = {kTB ? kN : 64, kTB ? 64 : kN}, step_a[1] = {64}, step_b[1] = {of_b[0]};
  const int box_a[2] = {64, 64}, box_b[2] = {64, kTB ? 64 : kN};
  CHECK(tensor_map(p.a, a.data(), 2, of_a, step_a, box_a) && tensor_map(p.b, b.data(), 2, of_b, step_b, box_b));
  try {
    launch("product", product<T, kN, kTA, kTB>, dim3(1), dim3(128), 8192 + kN * 128 + 64, p);
  } catch (const RuntimeError& e) {
    emulate::unfinished();
    cudaGetLastError();
    return e.what();
  }
  if (emulate::unfinished()) return "unfinished";
  for (int i = 0; i < 64; ++i)
    for (int j = 0; j < kN; ++j) {
      float sum = 1;
      for (int l = 0; l < k; ++l)
        sum += a[size_t(kTA ? l * 64 + i : i * 64 + l)].to() * b[size_t(kTB ? l * kN + j : j * 64 + l)].to();
      if (!(d[size_t(i * kN + j)] == sum)) return "wrong";
    }
  return "";
}

template <class T, int kN> void products() {
  CHECK((multiply<T, kN, false, false>(64).empty()));
  CHECK((multiply<T, kN, false, true>(64).empty()));
  CHECK((multiply<T, kN, true, false>(32).empty()));
  CHECK((multiply<T, kN, true, true>(64).empty()));
}

// d (64, kN) += a (64, 64) b (64, kN), a in registers: thread's register r of step j.
enum class Left { none, written, no_fence };
struct LeftProduct { CUtensorMap b; const bf16* a; float* d; Left fault; };
template <int kN> __global__ void product_left(const __grid_constant__ LeftProduct p) {
  const uint32_t b = shared_address(dynamic_shared<char>()), bar = b + kN * 128;
  const int t = int(threadIdx.x), lane = t % 32;
  if (t == 0) {
    barrier_init(bar, 1);
    barrier_fence();
    barrier_arrive_expect(bar, kN * 128);
    for (int j = 0; j < kN / 64; ++j) tensor_load<2>(b + j * 8192, p.b, {64 * j, 0}, bar);
  }
  __syncthreads();
  barrier_wait(bar, 0);
  uint32_t a[4][4];
  for (int j = 0; j < 4; ++j)
    for (int r = 0; r < 4; ++r) {
      const bf16* at = p.a + (t / 32 * 16 + a_row(lane, r)) * 64 + 16 * j + a_col(lane, r, 0);
      a[j][r] = at[0].bits | uint32_t(at[1].bits) << 16;
    }
  float d[kN / 2];
  for (float& x : d) x = 1;
  if (p.fault != Left::no_fence) wgmma_fence();
  for (int j = 0; j < 4; ++j) wgmma_left<bf16, kN, true>(d, a[j], mn_major(b, 8192) + j * kNextKTransposed);
  wgmma_commit();
  if (p.fault == Left::written) a[1][2] ^= 1;
  wgmma_wait<0>();
  for (int i = 0; i < kN / 2; ++i) p.d[d_row(t, i) * kN + d_col(t, i)] = d[i];
}
template <int kN> std::string multiply_left(Left fault = Left::none) {
  std::vector<bf16> a(64 * 64), b(64 * kN);
  for (size_t i = 0; i < a.size(); ++i) a[i] = bf16::from(value(int(i)));
  for (size_t i = 0; i < b.size(); ++i) b[i] = bf16::from(value(int(i) * 3 + 1));
  std::vector<float> d(64 * kN);
  LeftProduct p{{}, a.data(), d.data(), fault};
  const int64_t dims[2] = {kN, 64}, step[1] = {kN};
  const int box[2] = {64, 64};
  CHECK(tensor_map(p.b, b.data(), 2, dims, step, box));
  try {
    launch("product", product_left<kN>, dim3(1), dim3(128), kN * 128 + 64, p);
  } catch (const RuntimeError& e) {
    emulate::unfinished();
    cudaGetLastError();
    return e.what();
  }
  for (int i = 0; i < 64; ++i)
    for (int j = 0; j < kN; ++j) {
      float sum = 1;
      for (int l = 0; l < 64; ++l) sum += a[size_t(i * 64 + l)].to() * b[size_t(l * kN + j)].to();
      if (!(d[size_t(i * kN + j)] == sum)) return "wrong";
    }
  return "";
}

bool says(const std::string& text, const char* part) {
  if (text.find(part) != std::string::npos) return true;
  std::printf("instead of \"%s\": \"%s\"\n", part, text.c_str());
  return false;
}

void faults() {
  const auto with = [](Fault f) { return multiply<bf16, 64, false, true>(64, f); };
  CHECK(says(with(Fault::early_read), "unfinished"));
  CHECK(says(with(Fault::no_fence), "without wgmma.fence"));
  CHECK(says(with(Fault::touched), "accumulators written"));
  CHECK(says(with(Fault::not_arrived), "has still to fill"));
  CHECK(says(with(Fault::overwritten), "a wgmma still reads"));
  CHECK(says(with(Fault::no_proxy_fence), "without a proxy fence"));
  CHECK(says(with(Fault::no_wait), "unfinished"));
  CHECK(says(with(Fault::twice), "another still fills"));
}

// Turns: the second half of the block goes first, by a count that does not wait; votes of each half.
__global__ void turns(int* out) {
  const int half = int(threadIdx.x) / 64;
  if (half == 1) {
    if (threadIdx.x == 64) out[0] = 7;
    named_arrive(2, 128);
  } else {
    named_barrier(2, 128);
    if (threadIdx.x == 0) out[1] = out[0];
  }
  for (int i = 0; i < 3; ++i) {
    const bool any = named_barrier_or(3 + half, 64, int(threadIdx.x) == 70 && i == 1);
    if (any && threadIdx.x % 64 == 5) out[2 + half] += 1 + i;
  }
}

__global__ void matrices(int* wrong) {  // stmatrix4 puts back what ldmatrix4 took
  uint16_t* shared = dynamic_shared<uint16_t>();
  const int t = int(threadIdx.x);
  for (int i = t; i < 512; i += 32) shared[i] = uint16_t(i < 256 ? i : 0);
  __syncwarp();
  uint32_t r[4];
  ldmatrix4(r, shared + t * 8);
  stmatrix4(shared + 256 + t * 8, r);
  __syncwarp();
  for (int i = t; i < 256; i += 32) *wrong += shared[256 + i] != i;
}

}  // namespace

int main() {
  maps();
  boxes();
  products<bf16, 64>();
  products<f16, 128>();
  products<bf16, 256>();
  products<f16, 256>();
  faults();
  CHECK(multiply_left<64>().empty() && multiply_left<128>().empty());
  CHECK(says(multiply_left<64>(Left::written), "registers written"));
  CHECK(says(multiply_left<64>(Left::no_fence), "without wgmma.fence"));
  int out[4] = {};
  launch("turns", turns, dim3(1), dim3(128), 0, &out[0]);
  CHECK(out[1] == 7 && out[2] == 0 && out[3] == 2);
  int wrong = 0;
  launch("matrices", matrices, dim3(1), dim3(32), 1024, &wrong);
  CHECK(wrong == 0);
  return failures() != 0;
}
