// SPDX-License-Identifier: MIT
#include <algorithm>
#include <chrono>
#include <vector>
#include "core/threads.h"
#include "dispatch/dispatch.h"
#include "families.h"
#include "ops/gemm.h"

namespace lamella {

// f(), without the GIL where the work is worth letting it go.
template <class F> static auto maybe_nogil(int64_t work, const F& f) {
  if (work < (1 << 17)) return f();
  py::gil_scoped_release release;
  return f();
}

// The best rate of many short runs' median: flops or bytes per second.
template <class F> static double median_rate(double seconds, const F& run) {
  using clock = std::chrono::steady_clock;
  const auto since = [](clock::time_point t) { return std::chrono::duration<double>(clock::now() - t).count(); };
  std::vector<double> rates;
  const auto start = clock::now();
  while (rates.size() < 5 || since(start) < seconds) {
    const auto begin = clock::now();
    const double work = run();
    rates.push_back(work / since(begin));
  }
  std::nth_element(rates.begin(), rates.begin() + rates.size() / 2, rates.end());
  return rates[rates.size() / 2];
}

static double measure_fma(DType dtype) {
  check<TypeError>(dtype == DType::f32 || dtype == DType::f64 || dtype == DType::bf16 || dtype == DType::i8,
                   "[measure_fma] dtype must be float32, float64, bfloat16 or int8, got ", name_of(dtype));
  std::vector<double> sink(num_threads());
  return median_rate(0.3, [&] {
    double flops;
    kernels().measure_fma({dtype, 200000, int64_t(sink.size()), &flops, sink.data()});
    return flops;
  });
}

static double measure_triad() {
  const int64_t n = int64_t(1) << 24;  // three arrays of 64 MiB: past the caches (of 32 MiB, a last level of 32 MiB held a part)
  Array a = empty({n}, DType::f32), b = empty({n}, DType::f32), c = empty({n}, DType::f32);
  const float one = 1;  // some memories store zeros faster
  for (Array* x : {&a, &b, &c}) {
    Loop<1> loop{1, {n}, {{1}}};
    kernels().fill({DType::f32, &one, x->data(), loop});
  }
  return median_rate(0.3, [&] {
    kernels().measure_triad({n, a.data<float>(), b.data<float>(), c.data<float>(), 3.0f});
    return 12.0 * double(n);
  });
}

void bind_gemm(py::module_& m) {
  def(m, "matmul", [](const Array& a, const Array& b) {
    return maybe_nogil(ops::matmul_work(a, b), [&] { return ops::matmul(a, b); });
  }, py::arg("a"), py::arg("b"));
  def(m, "linear", [](const Array& x, const Array& weight, const std::optional<Array>& bias, int act) {
    const int64_t work = x.numel() * (weight.ndim() ? weight.shape[0] : 1);
    return maybe_nogil(work, [&] { return ops::linear(x, weight, bias, Act(act)); });
  }, py::arg("x"), py::arg("weight"), py::arg("bias"), py::arg("act") = 0);
  def(m, "linear_bwd_weight", [](const Array& x, const Array& dy, bool bias) {
    ops::LinearGrads g = maybe_nogil(x.numel() * dy.shape.back(), [&] { return ops::linear_bwd_weight(x, dy, bias); });
    return py::make_tuple(std::move(g.dweight), std::move(g.dbias));
  }, py::arg("x"), py::arg("dy"), py::arg("bias"));
  m.def("measure_fma", &measure_fma, py::arg("dtype"), nogil(), "flop/s of multiply-adds in registers, all threads; 0 where the dtype has none");
  m.def("measure_triad", &measure_triad, nogil(), "bytes/s of a = b + s c past the caches, all threads");
}

}  // namespace lamella
