// SPDX-License-Identifier: MIT
#include "ctc.h"
#include <optional>
#include "dispatch/dispatch.h"
#include "param.h"

namespace lamella::ops {
namespace {

const char* const kOp = "ctc_loss";

Array lengths_of(const char* name, const Array& x, int64_t n, int64_t most, const char* limit) {
  check<ValueError>(x.shape == Shape{n}, "[", kOp, "] ", name, " must have shape ", Shape{n}, ", one per sequence, got ", x.shape);
  check<TypeError>(is_integer(x.dtype), "[", kOp, "] ", name, " must have an integer dtype, got ", name_of(x.dtype));
  const On host(Device{});
  Array y = contiguous(cast(on_host(x), DType::i64));
  for (int64_t i = 0; i < n; ++i) {
    const int64_t v = y.data<int64_t>()[i];
    check<ValueError>(v >= 0 && v <= most, "[", kOp, "] ", name, " must be in [0, ", most, "], ", limit, ", got ", v, " at ", i);
  }
  return y;
}

// What is the same forward and backward; classes are adjacent in x.
Ctc describe_ctc(const Array& x, const Array& labels, const Array& spans, int64_t blank) {
  const auto* span = reinterpret_cast<const CtcSpan*>(spans.data<int64_t>());
  int64_t most = 0;
  for (int64_t i = 0; i < x.shape[1]; ++i) most = span[i].count > most ? span[i].count : most;
  return {x.dtype, x.shape[0], x.shape[1], x.shape[2], x.strides[0], x.strides[1], x.data(), labels.data<int64_t>(), span,
          blank, ctc_row(most)};
}

Array adjacent_classes(const Array& x) { return x.shape[2] == 1 || x.strides[2] == 1 ? x : contiguous(x); }

}  // namespace

std::tuple<Array, Array, Array, Array, Array> ctc_fwd(const Array& log_probs, const Array& targets, const Array& input_lengths,
                                                      const Array& target_lengths, int64_t blank, bool keep) {
  check<ValueError>(log_probs.ndim() == 3, "[", kOp, "] log_probs must have shape (T, N, C) or (T, C), got ", log_probs.shape);
  check<TypeError>(log_probs.dtype == DType::f32 || log_probs.dtype == DType::f64, "[", kOp,
                   "] log_probs must have dtype float32 or float64, got ", name_of(log_probs.dtype), ": use log_probs.float()");
  const int64_t t = log_probs.shape[0], n = log_probs.shape[1], classes = log_probs.shape[2];
  check<ValueError>(blank >= 0 && blank < classes, "[", kOp, "] blank must be in [0, ", classes, "), got ", blank);
  check<TypeError>(is_integer(targets.dtype), "[", kOp, "] targets must hold class indices of an integer dtype, got ",
                   name_of(targets.dtype));
  const bool padded = targets.ndim() == 2;
  check<ValueError>(targets.ndim() == 1 || (padded && targets.shape[0] == n), "[", kOp,
                    "] targets must have shape (N, S) = (", n, ", S), or one dimension, got ", targets.shape);
  const Device device = log_probs.device();  // lengths and labels are read here, on the host
  std::optional<On> host;
  host.emplace(Device{});
  const Array labels = contiguous(cast(on_host(contiguous(targets)), DType::i64));
  const int64_t held = padded ? targets.shape[1] : targets.numel();
  const Array steps = lengths_of("input_lengths", input_lengths, n, t, "the steps of log_probs");
  const Array counts = lengths_of("target_lengths", target_lengths, n, held, "the size of targets");
  Array spans = empty({n, 3}, DType::i64);
  auto* span = reinterpret_cast<CtcSpan*>(spans.data<int64_t>());
  int64_t first = 0;
  for (int64_t i = 0; i < n; ++i) {
    span[i] = {steps.data<int64_t>()[i], padded ? i * held : first, counts.data<int64_t>()[i]};
    first += span[i].count;
    for (int64_t k = 0; k < span[i].count && span[i].first + k < labels.numel(); ++k) {
      const int64_t v = labels.data<int64_t>()[span[i].first + k];
      check<IndexError>(v >= 0 && v < classes, "[", kOp, "] targets must be in [0, ", classes, "), got ", v, " in sequence ", i);
      check<ValueError>(v != blank, "[", kOp, "] targets must not hold the blank (", blank, "), got it in sequence ", i);
    }
  }
  check<ValueError>(padded || first == held, "[", kOp, "] targets of one dimension must hold sum(target_lengths) = ", first,
                    " labels, got ", held);
  host.reset();
  const On place(device);
  const Array x = adjacent_classes(log_probs);
  const Ctc c = describe_ctc(x, labels, spans, blank);
  Array loss = empty({n}, x.dtype), alpha, shift;
  if (keep) {
    alpha = empty({n, t + 1, c.row}, x.dtype);
    shift = empty({n, t + 1}, DType::f64);
  }
  if (n) kernels().ctc_fwd({c, loss.data(), data_of(alpha), static_cast<double*>(data_of(shift))});
  return {loss, alpha, shift, labels, spans};
}

Array ctc_bwd(const Array& log_probs, const Array& targets, const Array& spans, int64_t blank, const Array& loss,
              const Array& alpha, const Array& shift, const Array& dloss) {
  const On place(log_probs.device());
  const Array x = adjacent_classes(log_probs), d = contiguous(dloss);
  Array dx = empty(x.shape, x.dtype);
  if (dx.numel())
    kernels().ctc_bwd({describe_ctc(x, targets, spans, blank), loss.data(), d.data(), alpha.data(), shift.data<double>(), dx.data()});
  return dx;
}

}  // namespace lamella::ops
