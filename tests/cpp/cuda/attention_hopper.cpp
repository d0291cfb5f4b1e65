// SPDX-License-Identifier: MIT
// The Hopper forms of attention on the emulated device, and their index arithmetic.
#include "attention_cases.h"
#include <set>
#include "cuda/attention_hopper.cuh"

using namespace lamella::cuda;
using namespace lamella::cuda::attention;

namespace {

// Accumulators of a product are the left operand of the next: register r of step j holds what A's fragment has there.
void fragments() {
  for (int thread = 0; thread < 128; ++thread)
    for (int j = 0; j < 8; ++j)
      for (int r = 0; r < 4; ++r)
        for (int e = 0; e < 2; ++e) {
          const int i = 8 * j + 2 * r + e;
          CHECK(d_row(thread, i) == thread / 32 * 16 + a_row(thread % 32, r));
          CHECK(d_col(thread, i) == 16 * j + a_col(thread % 32, r, e));
        }
  // Steps of a K-major operand of several pieces go through its columns.
  for (int j = 0; j < 8; ++j)
    CHECK(k_major(0x2000) + k_step<128>(j) == k_major(0x2000 + uint32_t(j * 16 / 64 * 128 * 128 + j * 16 % 64 * 2)));
}

// Every head's every tile once; in a section the longest first; a group's heads in one section.
void order() {
  for (const bool down : {false, true})
    for (const int group : {1, 4})
      for (const int heads : {4, 12, 32})
        for (const int tiles : {1, 3, 16})
          for (const int64_t bytes : {int64_t(1) << 10, int64_t(5) << 20, int64_t(1) << 30}) {
            const int section = section_of(heads, group, bytes);
            CHECK(section >= group && section % group == 0 && section <= heads);
            std::set<std::pair<unsigned, unsigned>> seen;
            unsigned last = 0, last_section = ~0u;
            for (int i = 0; i < heads * tiles; ++i) {
              const Job j = section_job(i, heads, tiles, section, down);
              CHECK(int(j.head) < heads && int(j.tile) < tiles && seen.insert({j.head, j.tile}).second);
              const unsigned here = j.head / unsigned(section);
              if (here == last_section) CHECK(down ? j.tile <= last : j.tile >= last);
              last = j.tile, last_section = here;
            }
          }
  for (const int blocks : {1, 3, 132})
    for (const int jobs : {1, 5, 132, 400}) {
      std::set<int> seen;
      for (int b = 0; b < blocks; ++b)
        for (int round = 0; in_round(round, b, blocks) < jobs; ++round) CHECK(seen.insert(in_round(round, b, blocks)).second);
      CHECK(int(seen.size()) == jobs);
    }
}

// Steps through queries visit, of every head, every tile that sees a key once; those past the edge leave out no pair.
void steps() {
  for (const bool causal : {false, true})
    for (const int group : {1, 3})
      for (const int l : {65, 128, 200, 513})
        for (const int j : {0, 128, 256, 512, 640}) {
          const QueryRange r = query_range(j, l, causal);
          std::set<std::pair<int, int>> seen;
          int n = 0;
          each_step(r, group, [&](int g, int tile) {
            CHECK(g < group && tile >= r.begin && tile * kStepQueries < l && seen.insert({g, tile}).second);
            if (n < r.edge * group) CHECK(tile == r.begin + n % r.edge);
            else CHECK(!on_diagonal(tile * kStepQueries, j, kHopperRows, causal));
            ++n;
          });
          CHECK(n == r.span * group);
          const int all = int(tiles_of(l, kStepQueries));
          for (int t = 0; t < all; ++t) {
            const bool sees = !causal || std::min(l, (t + 1) * kStepQueries) - 1 >= j;
            CHECK(int(seen.count({0, t})) == sees && int(seen.count({group - 1, t})) == sees);
          }
        }
}

// Dimensions merge where every operand's strides agree, and otherwise stay apart, up to three with the group's.
void merges() {
  Attention a{};
  a.ndim = 4;
  const int64_t heads[4] = {2, 3, 5, 7}, whole[4] = {105, 35, 7, 1}, shared[4] = {15, 5, 1, 0}, apart[4] = {1000, 35, 7, 1};
  std::copy(heads, heads + 4, a.heads);
  int64_t size[3], stride[2][3];
  CHECK(merge_heads<2>(a, {whole, shared}, size, stride) && size[0] == 7 && size[1] == 30 && size[2] == 1);
  CHECK(stride[0][0] == 1 && stride[0][1] == 7 && stride[1][0] == 0 && stride[1][1] == 1);
  CHECK(merge_heads<2>(a, {apart, shared}, size, stride) && size[1] == 15 && size[2] == 2 && stride[0][2] == 1000);
  const int64_t odd[4] = {1000, 100, 7, 1};
  CHECK(!merge_heads<2>(a, {odd, shared}, size, stride));
  a.heads[1] = 1;
  CHECK(merge_heads<2>(a, {odd, shared}, size, stride) && size[1] == 5 && size[2] == 2);
  for (int head = 0; head < 2 * 5 * 7; ++head) {
    const HeadAt h = head_at(head, 7, 5);
    CHECK((h.outer * 5 + h.inner) * 7 + h.group == head && h.group < 7 && h.inner < 5);
  }
}

void refused() {
  std::vector<bf16> x(256 * 128);
  Attention a{};
  a.dtype = DType::bf16, a.ndim = 1, a.heads[0] = 1, a.l = a.s = 256, a.e = a.ev = 128, a.scale = 1;
  a.q = a.k = a.v = {x.data(), {}, 128};
  CHECK(hopper_takes(a));
  const auto no = [&](auto change) { Attention other = a; change(other); CHECK(!hopper_takes(other)); };
  no([](Attention& b) { b.dtype = DType::f32; });
  no([&](Attention& b) { b.mask = x.data(); });
  no([](Attention& b) { b.dropout = 0.1; });
  no([](Attention& b) { b.scale = -1; });
  no([](Attention& b) { b.e = 136; });
  no([](Attention& b) { b.ev = 12; });
  no([](Attention& b) { b.q.row = 129; });
  no([](Attention& b) { b.l = 64; });
  no([](Attention& b) { b.s = 0; });
  hopper_from = 48;
  CHECK(!hopper_takes(a));
  a.heads[0] = 24;
  CHECK(hopper_takes(a));
  hopper_from = 0;
}

void shapes(DType t) {
  const bool brain = t == DType::bf16;   // the other one's conversions take long here, and differ in nothing else
  for (const bool causal : {false, true}) {
    check({t, 1, 1, 1, 256, 256, 128, 128, causal}, By::hopper);
    check({t, 1, 2, 1, 130, 300, 64, 64, causal}, By::hopper);
    if (!brain) continue;
    check({t, 1, 1, 1, 129, 257, 72, 72, causal}, By::hopper);
    check({t, 1, 1, 1, 300, 127, 40, 40, causal}, By::hopper);
    check({t, 2, 2, 3, 97, 200, 16, 96, causal}, By::hopper);
    check({t, 1, 1, 2, 200, 65, 96, 64, causal, Mask::none, 0, 0.3, 8}, By::hopper);
    check({t, 2, 1, 1, 383, 385, 80, 128, causal}, By::hopper);
  }
  check({t, 1, 3, 2, 140, 130, 8, 8, true}, By::hopper);
  check({t, 1, 1, 1, 70, 1300, 24, 64, false, Mask::none, 0, 0.02}, By::hopper);  // rings go round
  check({t, 1, 1, 1, 900, 70, 128, 72, brain, Mask::none, 0, 2}, By::hopper);
  check({t, 2, 1, 2, 129, 140, 64, 32, true, Mask::none, 0, 0.3, 8, 0, true}, By::hopper);
  check({t, 1, 1, 2, 150, 140, 88, 88, true});  // as attention_fwd and attention_bwd choose
  const double strange = brain ? kNan : kInfinity;
  check({t, 1, 1, 1, 200, 190, 64, 64, true, Mask::none, 0, 0.3, 0, strange}, By::hopper);
  check({t, 1, 1, 2, 100, 128, 128, 96, true, Mask::none, 0, 0.3, 0, strange}, By::hopper);
  check({t, 1, 1, 1, 80, 90, 128, 128, false, Mask::none, 0, 0.3, 0, strange}, By::hopper);
  check({t, 1, 1, 1, 200, 200, 64, 64, true, Mask::none, 0, 0.3, 0, strange, false, true}, By::hopper);
  check({t, 1, 1, 1, 100, 100, 128, 96, true, Mask::none, 0, 0.3, 0, strange, false, true}, By::hopper);
}

// The same bits again, and whatever stands beside: a head's results are those it has alone.
void same_bits() {
  constexpr int heads = 3, l = 200, d = 64;
  std::vector<bf16> x(size_t(3 * heads * l * d)), first;
  for (bf16& e : x) e = bf16::from(float(draw()));
  std::vector<float> lse(size_t(heads * l)), delta(size_t(heads * l));
  Attention a{};
  a.dtype = DType::bf16, a.ndim = 2, a.heads[1] = 1, a.l = a.s = l, a.e = a.ev = d, a.scale = 0.2, a.causal = true;
  for (const int run : {0, 1, 2}) {
    std::vector<bf16> out(size_t(4 * heads * l * d));
    a.heads[0] = run == 2 ? 1 : heads;
    const auto in = [&](int n) { return HeadsIn{x.data() + n * heads * l * d, {l * d, 0}, d}; };
    const auto to = [&](int n) { return HeadsOut{out.data() + n * heads * l * d, {l * d, 0}, d}; };
    a.q = in(0), a.k = in(1), a.v = in(2);
    CHECK(forward_hopper({a, to(0), lse.data()}));
    const BackwardCall call{a, in(0), to(1), to(2), to(3), lse.data(), delta.data(), 0, 0, float(a.scale) * kLog2e, 1};
    CHECK(keys_bwd_hopper(call) && queries_bwd_hopper(call));
    if (run == 0) first = out;
    const size_t each = size_t(l * d) * sizeof(bf16), all = size_t(heads * l * d);
    for (size_t n = 0; n < 4; ++n)
      CHECK(std::memcmp(out.data() + n * all, first.data() + n * all, run == 2 ? each : each * heads) == 0);
  }
}

}  // namespace

int main() {
  fragments();
  order();
  steps();
  merges();
  hopper_from = 0;
  refused();
  for (const DType t : {DType::bf16, DType::f16}) shapes(t);
  same_bits();
  std::printf("%d cases\n", cases);
  return failures() != 0;
}
