// SPDX-License-Identifier: MIT
// Random fills and dropout on the device make the CPU's numbers.
#include "cuda/device.cuh"
#include "dispatch/dispatch.h"
#include "typed.h"

using namespace lamella;

static void fills() {
  const int64_t sizes[] = {0, 1, 2, 3, 4, 5, 15, 16, 17, 1023, 1024, 1025, 5003, 16411};
  const uint64_t seed = 0x123456789abcdef0, stream = 0x0fedcba987654321;
  struct Case { RandomOp op; double p0, p1; };
  const Case cases[] = {{RandomOp::uniform, -2, 3},   {RandomOp::normal, 1, 2},          {RandomOp::integer, 0, 2},
                        {RandomOp::integer, -5, 100}, {RandomOp::integer, -3, 9e15},     {RandomOp::bernoulli, 0.3, 0},
                        {RandomOp::bernoulli, 0, 0},  {RandomOp::bernoulli, 1, 0}};
  for (int t = 0; t < kDTypes; ++t)
    for (const Case& c : cases) {
      const DType type = DType(t);
      const bool real = c.op == RandomOp::uniform || c.op == RandomOp::normal;
      if (real && !is_floating(type)) continue;
      for (int64_t n : sizes)
        for (int64_t offset : {0, 1}) {
          Typed got(type, n, offset), want(type, n, offset);
          cuda::random({c.op, type, n, got.data(), seed, stream, c.p0, c.p1});
          kernels().random({c.op, type, n, want.data(), seed, stream, c.p0, c.p1});
          CHECK(got.intact());
          // The angle of a normal number is rounded before its sine: the error is absolute.
          if (real) CHECK(got.close(want, 4 * epsilon(type), c.op == RandomOp::normal ? 8 * epsilon(type) : epsilon(type)));
          else CHECK(got.same(want));
        }
    }
}

static void dropouts() {
  for (DType type : kFloats)
    for (int64_t block : {1, 2, 3, 5, 8, 49, 1000, 20000})
      for (int64_t n : {0, 1, 3, 4, 8, 9, 1023, 1024, 2049, 10007})
        for (double p : {0.0, 0.25, 1.0})
          for (int64_t offset : {0, 1}) {
            Typed x(type, n, offset), got(type, n, offset), want(type, n);
            x.fill(7, -2, 2);
            if (n > 2) x.set(1, NAN), x.set(2, INFINITY);
            cuda::dropout({type, n, block, x.data(), got.data(), p, 42, 3});
            kernels().dropout({type, n, block, x.data(), want.data(), p, 42, 3});
            CHECK(got.intact());
            CHECK(got.close(want, 0, 0));
          }
}

int main() {
  fills();
  dropouts();
  return failures() != 0;
}
