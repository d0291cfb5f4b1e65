// SPDX-License-Identifier: MIT
// THE LIST: every kernel of lamella, its argument struct, and the table that each backend fills.
//
// A struct here is the shape contract of its kernel, once, for every backend. Unless it says otherwise: pointers are
// row-major and contiguous, outputs are overwritten and do not alias inputs, sizes may be zero, strides count elements,
// arithmetic of float16 and bfloat16 is done in float32, and results do not depend on the number of threads.
// To add a kernel: a struct, a line in its family's list, and the function in that family's .cpp (a forgotten one is a
// link error that names it).
#pragma once
#include <cstdint>
#include "../core/dtype.h"

namespace lamella {

constexpr int kLoopDims = 8;

// An N-operand loop over a common shape; operand 0 is the output. Innermost dimension last; stride 0 broadcasts.
// The caller has merged dimensions that can be one and dropped sizes of 1, so that a contiguous loop has ndim <= 1.
template <int N> struct Loop {
  int ndim;
  int64_t shape[kLoopDims];
  int64_t stride[N][kLoopDims];
};

// ---- elementwise ---------------------------------------------------------------------------------------------------
// Any dtype: neg, abs, sign, square, relu, clamp. Predicates (isnan ..) write bool. All others are floating only.
#define LAMELLA_UNARY_OPS(U)                                                                                     \
  U(neg) U(abs) U(sign) U(square) U(exp) U(expm1) U(log) U(log1p) U(sqrt) U(rsqrt) U(reciprocal) U(sin) U(cos)   \
  U(tanh) U(erf) U(tan) U(asin) U(acos) U(atan) U(sinh) U(cosh) U(asinh) U(acosh) U(atanh) U(sinc) U(exp2)       \
  U(log2) U(log10) U(erfc) U(erfinv) U(lgamma) U(digamma) U(polygamma) U(logit) U(cube)                          \
  U(floor) U(ceil) U(round) U(trunc) U(sigmoid) U(logsigmoid) U(softplus) U(relu) U(silu) U(gelu)                \
  U(gelu_tanh) U(leaky_relu) U(elu) U(celu) U(selu) U(mish) U(hardtanh) U(hardsigmoid) U(hardswish) U(softsign)  \
  U(tanhshrink) U(softshrink) U(hardshrink) U(threshold) U(clamp) U(nan_to_num)                                  \
  U(isnan) U(isinf) U(isfinite) U(signbit) U(logical_not)
// Comparisons and logic write bool. x_bwd(s, dy) is dy times the derivative of x, where s is the input of x, or its
// output for relu, tanh, sigmoid (as each says in ops/elementwise.py); shrink_bwd is that of both shrinks.
// prelu: a where positive, else a b.
#define LAMELLA_BINARY_OPS(B)                                                                                       \
  B(add) B(sub) B(mul) B(div) B(floor_divide) B(remainder) B(pow) B(maximum) B(minimum) B(atan2)                    \
  B(fmod) B(hypot) B(copysign) B(logaddexp) B(xlogy) B(fmax) B(fmin)                                                \
  B(eq) B(ne) B(lt) B(le) B(gt) B(ge) B(logical_and) B(logical_or) B(logical_xor)                                   \
  B(bitwise_and) B(bitwise_or) B(bitwise_xor) B(bitwise_left_shift) B(bitwise_right_shift) B(gcd)               \
  B(relu_bwd) B(tanh_bwd) B(sigmoid_bwd) B(logsigmoid_bwd) B(softplus_bwd) B(silu_bwd) B(gelu_bwd) B(gelu_tanh_bwd) \
  B(leaky_relu_bwd) B(elu_bwd) B(celu_bwd) B(selu_bwd) B(mish_bwd) B(hardtanh_bwd) B(hardsigmoid_bwd)               \
  B(hardswish_bwd) B(softsign_bwd) B(tanhshrink_bwd) B(shrink_bwd) B(threshold_bwd) B(clamp_bwd) B(logit_bwd) B(prelu)

#define LAMELLA_ENUM(name) name,
enum class UnaryOp : int { LAMELLA_UNARY_OPS(LAMELLA_ENUM) count };
enum class BinaryOp : int { LAMELLA_BINARY_OPS(LAMELLA_ENUM) count };
#undef LAMELLA_ENUM

// y = op(x); y may be x itself. p0, p1 are the op's constants: leaky_relu slope; elu, celu alpha;
// polygamma n; softplus beta, threshold; clamp, hardtanh min, max; nan_to_num NaN, greatest; shrinks lambda;
// threshold, value.
struct Unary { UnaryOp op; DType dtype; const void* x; void* y; double p0, p1; Loop<2> loop; };
// `numbers` of the ops below: bit i is set where operand i (a is 0) is one number in the host's memory, of stride 0; all
// other operands lie where y does.
// y = op(a, b); a and b have dtype `dtype`. y may be a or b itself (same pointer, same strides).
struct Binary { BinaryOp op; DType dtype; const void *a, *b; void* y; double p0, p1; Loop<3> loop; uint8_t numbers = 0; };
// y of floating `dtype`: lerp a + c (b - a), addcmul a + p b c, addcdiv a + p b / c. y may be an operand, as above.
enum class TernaryOp : int { lerp, addcmul, addcdiv };
struct Ternary { TernaryOp op; DType dtype; const void *a, *b, *c; void* y; double p; Loop<4> loop; uint8_t numbers = 0; };
// y = cond ? a : b; cond is bool; dtype is that of a, b and y.
struct Where { DType dtype; const void *cond, *a, *b; void* y; Loop<4> loop; uint8_t numbers = 0; };  // bit 0: a
// y = from x's dtype to y's, any strides: copies, transposes, casts. float to int truncates; x != 0 gives bool.
struct Cast { DType from, to; const void* x; void* y; Loop<2> loop; };
// y = value everywhere; value is one element of `dtype` in the host's memory.
struct Fill { DType dtype; const void* value; void* y; Loop<1> loop; };

// ---- gate ----------------------------------------------------------------------------------------------------------
// y (outer, n) of x (outer, 2, n), halves a and b: glu a sigmoid(b), swiglu silu(a) b, geglu gelu(a) b.
enum class GateOp : int { glu, swiglu, geglu };
struct GateFwd { GateOp op; DType dtype; int64_t outer, n; const void* x; void* y; };
struct GateBwd { GateOp op; DType dtype; int64_t outer, n; const void *x, *dy; void* dx; };  // dx has x's shape

// ---- products ------------------------------------------------------------------------------------------------------
// y = the vector product of a and b along the middle of (outer, 3, inner), all contiguous and floating.
struct Cross { DType dtype; int64_t outer, inner; const void *a, *b; void* y; };

// ---- reduce --------------------------------------------------------------------------------------------------------
#define LAMELLA_REDUCE_OPS(R) R(sum) R(mean) R(prod) R(max) R(min) R(argmax) R(argmin) R(any) R(all) R(sum_squares) R(sum_abs)
#define LAMELLA_ENUM(name) name,
enum class ReduceOp : int { LAMELLA_REDUCE_OPS(LAMELLA_ENUM) count };
#undef LAMELLA_ENUM
// y (contiguous over `kept`) = op over `over` of x. x's element at (i of kept, j of over) lies at i . kept.stride[1] +
// j . over.stride[1] (row 0 of the strides is unused in `over`; in `kept` it is y's). argmax and argmin write int64:
// the first row-major position within `over`. Float sums are pairwise over fixed blocks; integer sums and products
// accumulate in int64 and write `to`; max and min pass NaN on. An empty `over` gives the op's identity (the caller
// refuses max, min, argmax, argmin of nothing).
struct Reduce { ReduceOp op; DType from, to; const void* x; void* y; Loop<2> kept, over; };
// mean and m2 (sum of squared deviations from the mean, two passes per block, merged in fixed order), both contiguous
// over `kept`, float32 (float64 for float64); either may be null. `over` is not empty.
struct Moments { DType dtype; const void* x; void *mean, *m2; Loop<2> kept, over; };
// y = the running sum, product, maximum, minimum or log of the sum of exponentials along the middle of x (outer, n, inner),
// contiguous. logsumexp is for floats. index, of maximum and minimum alone: where the extreme stands (of equal ones the
// last; the first NaN stays). Float sums and products run in float64.
enum class ScanOp : int { sum, prod, max, min, logsumexp };
struct Scan { ScanOp op; DType dtype; const void* x; void* y; int64_t* index; int64_t outer, n, inner; };

// ---- gemm ----------------------------------------------------------------------------------------------------------
enum class Act : int { none, relu, gelu, gelu_tanh, silu, sigmoid, tanh };
enum class BiasAxis : int { none, column, row };  // bias (n) added to every row, or bias (m) added to every column
// c (m, n) = act(a (m, k) . b (k, n) + bias), or c += a . b where `accumulate` (then no bias, no act). a and b have any
// strides; c's columns are adjacent. dtype is that of all operands: float32, float64, bfloat16, float16. Batched over up
// to six dims, innermost last; stride 0 broadcasts a or b (bias is the same for every batch). k == 0 gives act(bias).
struct Gemm {
  DType dtype;
  int64_t m, n, k;
  const void *a, *b; void* c;
  int64_t a_row, a_col, b_row, b_col, c_row;
  int batch_ndim; int64_t batch[6], a_batch[6], b_batch[6], c_batch[6];
  bool accumulate;
  BiasAxis bias_axis; const void* bias;
  Act act;
};

// ---- quant ---------------------------------------------------------------------------------------------------------
// C (m, n) = A (m, k) . B (k, n) of int8, any strides. Without scales C is int32, exact (modulo 2^32). With them it is
// float32: C(i, j) a_scale[i * a_scale_step] b_scale[j * b_scale_step] + bias[j]; a step is 0 (one scale for all) or 1.
struct GemmInt8 {
  int64_t m, n, k;
  const int8_t *a, *b;
  int64_t a_row, a_col, b_row, b_col;
  void* c;
  const float *a_scale, *b_scale;  // both or neither
  int64_t a_scale_step, b_scale_step;
  const float* bias;  // or null; only with scales
};

// ---- conv ----------------------------------------------------------------------------------------------------------
// One geometry for convolution and pooling: three spatial dims (depth, height, width; 1 where absent).
// x (n, c, in...), y (n, k, out...): any strides, in elements, over n, c, d, h, w. w (k, c / groups, kernel...) is
// contiguous; conv_bwd_weight wants the positions of each dy plane evenly apart. Input position of output o and tap t:
// o * stride + t * dilation - pad; outside is zero. Convolution takes float32 and float64;
// on a GPU bfloat16 and float16 too.
struct ConvGeometry {
  DType dtype;
  int64_t n, c, k, groups;
  int64_t in[3], out[3], kernel[3], stride[3], pad[3], dilation[3];
  int64_t x_stride[5], y_stride[5];
  bool plain = false;  // by sums of products alone, none of transformed pixels (kernels/conv_winograd.h): for the CPU's kernels
};
// w is contiguous; where w_last it has adjacent channels as x and y do (what ops/conv.cpp asks the CPU's kernels to take).
struct ConvFwd { ConvGeometry g; const void *x, *w, *bias; void* y; Act act; bool w_last = false; };  // bias (k) or null
// dx overwritten; y's strides are dy's. bias (c), or null, is added to dx: by the CPU's kernels, where c > 1.
struct ConvBwdInput { ConvGeometry g; const void *w, *dy; void* dx; bool w_last = false; const void* bias = nullptr; };
struct ConvBwdWeight { ConvGeometry g; const void *x, *dy; void *dw, *db; };     // overwritten; db (k) or null

// ---- pool ----------------------------------------------------------------------------------------------------------
// Same geometry with k == c. Windows past the input (ceil_mode) are cut; every window holds at least one input.
// Max: index (same shape as y, contiguous, int64 or int32: `index_dtype`) is the position within the input's spatial dims,
// row-major; padding never wins; NaN does. Average: divisor is the window's size within the padded input if count_include_pad, else within
// the input; divisor_override > 0 replaces it.
struct MaxPoolFwd { ConvGeometry g; const void* x; void *y, *index; DType index_dtype; };  // index may be null
struct MaxPoolBwd { ConvGeometry g; const void *dy, *index; void* dx; DType index_dtype; };
struct AvgPoolFwd { ConvGeometry g; const void* x; void* y; bool count_include_pad; int64_t divisor_override; };
struct AvgPoolBwd { ConvGeometry g; const void* dy; void* dx; bool count_include_pad; int64_t divisor_override; };
// Window of output o along a dim: [floor(o in / out), ceil((o + 1) in / out)). kernel, stride, pad, dilation unused.
struct AdaptiveAvgPoolFwd { ConvGeometry g; const void* x; void* y; };
struct AdaptiveAvgPoolBwd { ConvGeometry g; const void* dy; void* dx; };
struct AdaptiveMaxPoolFwd { ConvGeometry g; const void* x; void* y; int64_t* index; };  // backward: max_pool_bwd

// ---- fold ----------------------------------------------------------------------------------------------------------
// Same geometry with k == c; x (n, c, in...) and columns (n, c, kernel..., out...) are contiguous, y_stride is unused.
// unfold: columns(n, c, t, o) = x(n, c, o * stride + t * dilation - pad), zero outside. size_of(g.dtype) alone matters.
struct Unfold { ConvGeometry g; const void* x; void* columns; };
// fold: its adjoint, x = the sum of what lies on each position, in order of t. Floating dtypes.
struct Fold { ConvGeometry g; const void* columns; void* x; };
// y (n, h r, w r) has at (i r + a, j r + b) what x (n, r r, h, w) has at (a r + b, i, j); `inverse`: x from y, with the names
// exchanged. size: bytes of an element. channels, where not 0, are adjacent, on the CPU alone: y is (n, h r, w r, channels), and x
// (n, h, w, channels r r).
struct PixelShuffle { int size; int64_t n, h, w, r; const void* x; void* y; bool inverse; int64_t channels; };

// ---- pad -----------------------------------------------------------------------------------------------------------
enum class PadMode : int { constant, reflect, replicate, circular };  // reflect: without the edge; replicate: the edge
// y, of sizes `out`, is x, of sizes `in`, from position before[d] of dimension d on (ndim > 0); around it `value`, the bits of
// an element, or what pad_source says. Both contiguous; size: bytes of an element. Widths are what the mode can take from x.
struct Pad {
  PadMode mode; int size, ndim;
  int64_t in[kLoopDims], before[kLoopDims], out[kLoopDims];
  uint64_t value; const void* x; void* y;
};
// Which of n elements lies at position i, which may be beyond them; -1: none of them.
LAMELLA_INLINE int64_t pad_source(PadMode mode, int64_t i, int64_t n) {
  if (i >= 0 && i < n) return i;
  if (mode == PadMode::reflect) return i < 0 ? -i : 2 * n - 2 - i;
  if (mode == PadMode::replicate) return i < 0 ? 0 : n - 1;
  if (mode == PadMode::circular) return i < 0 ? i + n : i - n;
  return -1;
}

// ---- resize --------------------------------------------------------------------------------------------------------
// A linear map of n values to m: output o is the sum over t in [start[o], start[o + 1]) of weight[t] times input
// index[t], in that order; a weight of zero is not read. weight is float32 (float64 for float64). start null: y = x.
struct Taps { int64_t n, m; const int64_t *start, *index; const void* weight; };
// y (outer, rows.m, cols.m, inner) = x (outer, rows.n, cols.n, inner) mapped along both.
struct Resize { DType dtype; int64_t outer, inner; Taps rows, cols; const void* x; void* y; };

// ---- batch_norm ----------------------------------------------------------------------------------------------------
// x (n, c, inner). Statistics, weight, bias and running buffers are (c), of `param` dtype (float32, or float64 with
// float64 x); weight, bias may be null. Training: mean and rstd = 1 / sqrt(var + eps) of the batch (biased variance) are
// written, running = (1 - momentum) running + momentum batch (unbiased variance) where running_mean is not null.
struct BatchNormFwd {
  DType dtype, param; int64_t n, c, inner;
  const void *x, *weight, *bias; void *y, *mean, *rstd, *running_mean, *running_var;
  double eps, momentum; Act act;   // act: none or relu
};
// y = (x - mean) * rstd * weight + bias with given statistics (evaluation).
struct BatchNormApply { DType dtype, param; int64_t n, c, inner; const void *x, *weight, *bias, *mean, *rstd; void* y; Act act; };
// Gradients of the training form; with `frozen` (statistics were constants) those of the evaluation form.
// dx, dweight, dbias may be null.
struct BatchNormBwd {
  DType dtype, param; int64_t n, c, inner;
  const void *x, *dy, *weight, *mean, *rstd; void *dx, *dweight, *dbias; bool frozen;
};

// ---- layer_norm ----------------------------------------------------------------------------------------------------
// x (rows, cols); weight, bias (cols) or null; mean, rstd (rows), float32 (float64 for float64), may be null.
// rms: no mean is taken off, rstd = 1 / sqrt(mean(x^2) + eps), mean unused. The variance is that of centred values.
struct LayerNormFwd {
  DType dtype; int64_t rows, cols; const void *x, *weight, *bias; void *y, *mean, *rstd; double eps; bool rms;
};
// dx, dweight, dbias may be null. dweight, dbias have x's dtype.
struct LayerNormBwd {
  DType dtype; int64_t rows, cols; const void *x, *dy, *weight, *mean, *rstd; void *dx, *dweight, *dbias; bool rms;
};

// x (n, c, inner), normalised over the c / groups channels and inner of each of n * groups rows; weight, bias (c) or null;
// mean, rstd (n, groups), float32 (float64 for float64). last: x, y and their gradients are (n, inner, c), of
// float32 or float64, on the CPU alone.
struct GroupNormFwd {
  DType dtype; int64_t n, c, inner, groups; const void *x, *weight, *bias; void *y, *mean, *rstd; double eps; bool last;
};
// dx, dweight, dbias may be null. dweight, dbias have x's dtype.
struct GroupNormBwd {
  DType dtype; int64_t n, c, inner, groups; const void *x, *dy, *weight, *mean, *rstd; void *dx, *dweight, *dbias; bool last;
};

// ---- softmax -------------------------------------------------------------------------------------------------------
// Along the middle of x (outer, n, inner). A row of -inf only gives NaN, as in NumPy.
struct SoftmaxFwd { DType dtype; bool log; int64_t outer, n, inner; const void* x; void* y; };
struct SoftmaxBwd { DType dtype; bool log; int64_t outer, n, inner; const void *y, *dy; void* dx; };
// logits (outer, classes, inner); target int64 (outer, inner), in range or ignore_index: the caller has checked. weight
// (classes), lse (outer, inner) and denominator (one value) are float32 (float64 for float64); weight may be null.
// Of each target t, with lse = log sum exp of its logits and smoothing s:
//   loss = weight[t] (1 - s) (lse - logits[t]) + s / classes sum over c of weight[c] (lse - logits[c]), 0 where ignored.
// reduction none: loss (outer, inner); sum, mean: one value, mean divided by denominator = sum of weight[t].
// log_probs: the logits are log-probabilities already (lse = 0, not written; smoothing is 0).
enum class Reduction : int { none, sum, mean };
struct CrossEntropyFwd {
  DType dtype; int64_t outer, classes, inner; const void* logits; const int64_t* target; const void* weight;
  void *loss, *lse, *denominator; int64_t ignore_index; double smoothing; Reduction reduction; bool log_probs;
};
// dlogits (outer, classes, inner); dloss has loss's shape.
struct CrossEntropyBwd {
  DType dtype; int64_t outer, classes, inner; const void* logits; const int64_t* target;
  const void *weight, *lse, *denominator, *dloss; void* dlogits;
  int64_t ignore_index; double smoothing; Reduction reduction; bool log_probs;
};

// ---- loss ----------------------------------------------------------------------------------------------------------
// Losses of single elements: f(x, t) of input and target, p a constant of its own (kernels/loss_formulas.h).
#define LAMELLA_LOSS_OPS(L) \
  L(mse) L(l1) L(huber) L(log_cosh) L(quantile) L(poisson_nll) L(bce) L(bce_logits) L(hinge) L(squared_hinge) L(soft_margin)
#define LAMELLA_ENUM(name) name,
enum class LossOp : int { LAMELLA_LOSS_OPS(LAMELLA_ENUM) };
#undef LAMELLA_ENUM
// reduction none: loss (n); sum, mean: one value, summed in fixed order (mean of nothing: NaN).
struct LossFwd { LossOp op; DType dtype; Reduction reduction; int64_t n; const void *x, *target; void* loss; double p; };
// dx (n) = dloss times the derivative of f at x; dloss has loss's shape.
struct LossBwd { LossOp op; DType dtype; Reduction reduction; int64_t n; const void *x, *target, *dloss; void* dx; double p; };

// ---- ctc -----------------------------------------------------------------------------------------------------------
// Connectionist temporal classification of n sequences. x: log-probabilities (t, n, classes) of strides x_t, x_n, classes
// adjacent. Sequence i is span[i]: its first `steps` rows take part; its labels are labels[first .. first + count), all
// in range and none of them `blank`. loss[i] = -log of the sum, over the alignments of the labels to the steps, of the
// product of their probabilities; infinity if there is none. float32 and float64; probabilities below e^-1e30 are zero.
struct CtcSpan { int64_t steps, first, count; };
struct Ctc {
  DType dtype; int64_t t, n, classes, x_t, x_n; const void* x;
  const int64_t* labels; const CtcSpan* span; int64_t blank, row;  // row: ctc_row of the greatest count
};
// What backward needs, both null where there is none: alpha (n, t + 1, row), the log-probabilities of the beginnings of
// alignments, laid out by the kernel, and shift (n, t + 1) float64, which is to be added to each step's.
struct CtcFwd { Ctc c; void *loss, *alpha; double* shift; };
// dx (t, n, classes) contiguous: minus dloss[i] times the share of the alignments that pass through (step, class). Zero
// past the sequence's steps and where dloss[i] is 0; NaN where the loss is infinite.
struct CtcBwd { Ctc c; const void *loss, *dloss, *alpha; const double* shift; void* dx; };
constexpr int64_t kCtcPad = 16;  // lanes of the widest vector
constexpr int64_t ctc_width(int64_t count) { return (count + kCtcPad) / kCtcPad * kCtcPad; }  // > count
constexpr int64_t ctc_row(int64_t count) { return 2 * (ctc_width(count) + kCtcPad); }

// ---- attention -----------------------------------------------------------------------------------------------------
// x (heads..., rows, n): elements of a row are adjacent, rows `row` apart, heads by `batch` (strides of Attention::heads).
constexpr int kHeadDims = 7;
struct HeadsIn { const void* x; int64_t batch[kHeadDims], row; };
struct HeadsOut { void* x; int64_t batch[kHeadDims], row; };
// Of every head: y (l, ev) = dropout(softmax(scale q (l, e) . k (s, e)^T + mask)) . v (s, ev).
// heads[ndim - 1] (>= 1) is the group: that many heads in a row share k and v, which have stride 0 there.
// mask (or null), of any strides: bool, true where a key takes part, or floating, added. causal: key j takes part in
// query i if j <= i. A key of weight zero is not read into a sum: its NaN stays its own. A query without keys gives
// zeros. dropout: the weights (heads, l, s) as kernel `dropout` would treat them, made again from (seed, stream).
struct Attention {
  DType dtype; int ndim; int64_t heads[kHeadDims], l, s, e, ev;
  HeadsIn q, k, v;
  const void* mask; DType mask_dtype; int64_t mask_batch[kHeadDims], mask_row, mask_col;
  double scale, dropout; bool causal; uint64_t seed, stream; const uint64_t* shift = nullptr;
};
// lse (heads, l): log of the sum of exponentials of each query, float32 (float64 for float64); infinity without keys.
struct AttentionFwd { Attention a; HeadsOut y; void* lse; };
// dq has q's shape; dk, dv have k's and v's with the heads of a group summed (their strides there are not used).
struct AttentionBwd { Attention a; HeadsIn y, dy; const void* lse; HeadsOut dq, dk, dv; };

// Rotary positions. x (heads..., length, dim) as HeadsIn, y likewise but contiguous; cos, sin (length, pairs), float32
// (float64 for float64). Features a_i and b_i of pair i, i and pairs + i or (`interleaved`) 2 i and 2 i + 1, become
// a cos - b sin and b cos + a sin; features from 2 pairs on stay. inverse: by the opposite angles, which is the adjoint.
struct Rotary {
  DType dtype; int ndim; int64_t heads[kHeadDims], length, dim, pairs;
  HeadsIn x; void* y; const void *cos, *sin; bool interleaved, inverse;
};

// ---- index ---------------------------------------------------------------------------------------------------------
// Indices are checked and non-negative in every kernel of this family. Where they repeat, the last i wins or all are
// added in the order of i, whatever the number of threads.
// y (outer, count) of rows of row_bytes = the rows of x at o * x_outer + index[i] * x_step (bytes; x_step may be less than
// a row, so that an index can be any offset).
struct GatherRows { int64_t outer, count, row_bytes, x_outer, x_step; const int64_t* index; const void* x; void* y; };
// The reverse: the rows of x at o * x_outer + index[i] * x_step = y (outer, count). Rows at different offsets are disjoint.
struct ScatterRows { int64_t outer, count, row_bytes, x_outer, x_step; const int64_t* index; const void* y; void* x; };
// y (outer, rows, width) += dy (outer, count, width) at row index[i]; float16 and bfloat16 sum in float32 and round
// once; bool adds as "or". Indices equal to `skip` are left out (-1: none). Rows that no index names are not touched.
struct ScatterAddRows {
  DType dtype; int64_t outer, count, rows, width; const int64_t* index; const void* dy; void* y; int64_t skip;
};
// y (outer, m, inner) = x (outer, n, inner) at index (outer, m, inner) along the middle. size: bytes of an element. Indices lie
// in [0, n). Here and below, bad not null (inner 1 only) has them checked: one outside sets *bad, and the result is undefined.
struct GatherAlong { int size; int64_t outer, n, m, inner; const int64_t* index; const void* x; void* y; bool* bad; };
// x (outer, n, inner) at index (outer, m, inner) along the middle gets y, or is joined with it by `op`, in order of m. NaN
// passes through max and min.
enum class ScatterOp : int { put, add, prod, max, min };
struct ScatterAlong { DType dtype; ScatterOp op; int64_t outer, n, m, inner; const int64_t* index; const void* y; void* x; bool* bad; };
// Positions of the true elements of mask (n), in order; how many in *found. index may be null (count only).
struct NonZero { int64_t n; const bool* mask; int64_t* index; int64_t* found; };
// Of bag b, the t in [start[b], start[b + 1]), and rows of x (.., width):
// y (bags, width) = the sum of weight[t] x[index[t]], in order of t, rounded once; weight (float32, or float64 with
// float64) may be null: ones.
struct BagSum { DType dtype; int64_t bags, width; const int64_t *start, *index; const void *weight, *x; void* y; };
// y = the greatest of x[index[t]], NaN above all, and winner (bags, width) that index, the first of equals. An empty bag
// gives 0 and -1.
struct BagMax { DType dtype; int64_t bags, width; const int64_t *start, *index; const void* x; void* y; int64_t* winner; };
// y[t] = dot product of row i[t] of a and row j[t] of b, both (.., width); y has the dtype of weight above.
struct BagDot { DType dtype; int64_t count, width; const int64_t *i, *j; const void *a, *b; void* y; };
// y = x (outer, rows, cols) where col - row <= diagonal (`upper`: >= diagonal), else zero. size: bytes of an element.
struct Triangle { int size; bool upper; int64_t outer, rows, cols, diagonal; const void* x; void* y; };

// ---- sort ----------------------------------------------------------------------------------------------------------
// NaN is the greatest, all NaN are equal; -0 equals 0. Equal elements keep their order. Rows are shorter than 2^32.
constexpr int64_t kSortRow = 131072;  // what a longer row needs besides: see `work`
// values, indices (outer, n): each row of x (outer, n) in order, and where its elements were. values may be null. work: 32 n
// bytes where n > kSortRow.
struct Sort { DType dtype; int64_t outer, n; const void* x; void* values; int64_t* indices; void* work; bool descending; };
// values, indices (outer, k): the first k <= n of that order (descending where `largest`).
struct TopK { DType dtype; int64_t outer, n, k; const void* x; void* values; int64_t* indices; bool largest; };
// values, indices (outer): the element at place k of each row's order. median: at (n - 1) / 2, or the first NaN if there is
// one; nanmedian: the same of the elements that are not NaN. n > 0. work: 16 n outer bytes where n > kSortRow.
enum class Rank : int { kth, median, nanmedian };
struct Kth { DType dtype; int64_t outer, n, k; const void* x; void* values; int64_t* indices; void* work; Rank rank; };
// y (outer, m) = for each of x (outer, m) how many elements of its row of sorted (outer, n; `shared`: one row for all) are
// less (`right`: less or equal).
struct SearchSorted { DType dtype; int64_t outer, n, m; const void *sorted, *x; int64_t* y; bool shared, right; };

// ---- random (and dropout) ------------------------------------------------------------------------------------------
// y (n) from stream `stream` of `seed`: element i takes word i % 4 of Philox block i / 4 (float64 and normal pairs: two
// words). uniform: [p0, p1). normal: mean p0, deviation p1 (Box-Muller). integer: [p0, p1) . bernoulli: 1 with chance p0.
// shift, on a GPU: null, or in a captured graph two numbers there, which each replay sets; seed ^ shift[0] and stream + shift[1]
// are meant.
enum class RandomOp : int { uniform, normal, integer, bernoulli };
struct Random { RandomOp op; DType dtype; int64_t n; void* y; uint64_t seed, stream; double p0, p1; const uint64_t* shift = nullptr; };
// y = x * keep / (1 - p), keep drawn as bernoulli(1 - p) at the element's position: called again with the same stream on
// dy it is its own backward. `block`: one draw for each run of `block` elements (channel dropout).
struct Dropout {
  DType dtype; int64_t n, block; const void* x; void* y; double p; uint64_t seed, stream; const uint64_t* shift = nullptr;
};

// ---- recurrent -----------------------------------------------------------------------------------------------------
// One layer over sequences sorted by length, longest first. Step t has the sequences b < offset[t + 1] - offset[t] (batch
// of them at t = 0), and their values are rows offset[t] + b of every (rows, ...) array here, rows = offset[steps]. Side 0
// runs from the first step on, side 1 (if `sides` is 2) from each sequence's own end backward. float32 and float64.
// With h the side's state before a step, out its width, and for each gate row block of r (gates * hidden, out):
//   tanh, relu  y = act(a + r h)                                                                           gates 1
//   lstm        i, f, o = sigmoid(a + r h), g = tanh(a + r h), c' = f c + i g, y = o tanh(c')              gates 4: i f g o
//   gru         r, z = sigmoid(a + r h), q = r_n h + bias_n, n = tanh(a_n + r q), y = (1 - z) n + z h      gates 3: r z n
// lstm with `proj` (out, hidden): y = proj (o tanh(c')); elsewhere out == hidden. y (rows, sides * out), side 0 first.
// gates (rows, columns): columns = hidden, 4 hidden (lstm), 4 hidden (gru).
//   Before: a, the input's share with its biases, gate by gate (gru: three, the fourth column block unset).
//   After, where `keep`: lstm i f g o; gru r z n q. Otherwise undefined.
// On a GPU bfloat16 and float16, too. offset lies in the host's memory.
enum class RecurrentCell : int { tanh, relu, lstm, gru };
struct RecurrentShape { DType dtype; RecurrentCell cell; int sides; int64_t steps, batch, hidden, out; const int64_t* offset; };
struct RecurrentFwdSide {
  const void *r, *bias_n, *proj;  // bias_n (hidden, gru), proj (lstm): may be null
  const void *h0, *c0;            // (batch, out), (batch, hidden); null: zeros
  void *gates, *cells;            // cells (rows, hidden) gets every c', unless null
  void *hn, *cn;                  // (batch, out), (batch, hidden; lstm): the state after each sequence's last step
};
struct RecurrentFwd { RecurrentShape shape; bool keep; void* y; RecurrentFwdSide side[2]; };
// dgates: the gradient of a (lstm: i f g o; tanh, relu; gru: n r z, then that of q). With proj, dh (rows, out) gets the whole
// gradient of each step's y, and full (rows, hidden) gets o tanh(c'). dhn, dcn and dy may be null: zeros. dh0 may be null
// unless gru, dc0 is always written where lstm.
struct RecurrentBwdSide {
  const void *r, *proj, *h0, *c0, *gates, *cells, *dhn, *dcn;
  void *dgates, *dh, *full, *dh0, *dc0;
};
struct RecurrentBwd { RecurrentShape shape; const void *y, *dy; RecurrentBwdSide side[2]; };

// ---- optim ---------------------------------------------------------------------------------------------------------
// One call for all parameters: `count` tensors, contiguous, each of size[i] elements of dtype[i] (all buffers of i alike).
struct TensorList { int64_t count; const int64_t* size; const DType* dtype; };
// With d = (maximize ? -g : g) + decay p and p = shrink p, the formula `rule` of optim_rules.h on p, d and its states.
// g is not written. state[k][i]: state k of tensor i. numbers: the constants of the formula, in its order.
// live, on a GPU: null, or in a captured graph {decay, shrink, numbers...} there, which count instead.
struct OptimStep {
  TensorList list; void* const* p; const void* const* g; void* const* const* state; const double* numbers;
  double decay, shrink; int rule; bool maximize; const double* live = nullptr;
};
// *norm (where the tensors lie) = the 2-norm, 1-norm or greatest magnitude (NaN passes) of all elements, in fixed order; float64.
enum class NormOrder : int { two, one, infinity };
struct GradNorm { TensorList list; const void* const* g; double* norm; NormOrder order; };
// g *= scale, or scale * *factor where there is one, in place, for all.
struct ScaleAll { TensorList list; void* const* g; double scale; const double* factor; };
// g = min(max(g, low), high), in place, for all; NaN stays.
struct ClampAll { TensorList list; void* const* g; double low, high; };

// ---- measure -------------------------------------------------------------------------------------------------------
// What this machine can do, for benches and `lamella info`. fma: independent register-only multiply-adds, `count`
// rounds on each of `tasks` tasks (sink: a double for each); *flops = how many were done. By dot products of bfloat16 and int8 where
// the ISA has them; without, bfloat16's are float32's, and of int8 there are none. triad: a = b + s c over n floats.
struct MeasureFma { DType dtype; int64_t count, tasks; double* flops; double* sink; };
struct MeasureTriad { int64_t n; float* a; const float *b, *c; float s; };

// ---- the list ------------------------------------------------------------------------------------------------------
#define LAMELLA_KERNELS(K)                                                                                          \
  K(unary, Unary) K(binary, Binary) K(ternary, Ternary) K(where, Where) K(cast, Cast) K(fill, Fill)                                     \
  K(gate_fwd, GateFwd) K(gate_bwd, GateBwd) K(cross, Cross)                                                         \
  K(reduce, Reduce) K(moments, Moments) K(scan, Scan)                                                                 \
  K(gemm, Gemm) K(gemm_int8, GemmInt8)                                                                              \
  K(conv_fwd, ConvFwd) K(conv_bwd_input, ConvBwdInput) K(conv_bwd_weight, ConvBwdWeight)                            \
  K(max_pool_fwd, MaxPoolFwd) K(max_pool_bwd, MaxPoolBwd) K(avg_pool_fwd, AvgPoolFwd) K(avg_pool_bwd, AvgPoolBwd)   \
  K(adaptive_avg_pool_fwd, AdaptiveAvgPoolFwd) K(adaptive_avg_pool_bwd, AdaptiveAvgPoolBwd)                         \
  K(adaptive_max_pool_fwd, AdaptiveMaxPoolFwd)                                                                      \
  K(unfold, Unfold) K(fold, Fold) K(pixel_shuffle, PixelShuffle) K(pad, Pad) K(resize, Resize)                      \
  K(batch_norm_fwd, BatchNormFwd) K(batch_norm_apply, BatchNormApply) K(batch_norm_bwd, BatchNormBwd)               \
  K(layer_norm_fwd, LayerNormFwd) K(layer_norm_bwd, LayerNormBwd)                                                   \
  K(group_norm_fwd, GroupNormFwd) K(group_norm_bwd, GroupNormBwd)                                                   \
  K(softmax_fwd, SoftmaxFwd) K(softmax_bwd, SoftmaxBwd)                                                             \
  K(cross_entropy_fwd, CrossEntropyFwd) K(cross_entropy_bwd, CrossEntropyBwd)                                       \
  K(loss_fwd, LossFwd) K(loss_bwd, LossBwd) K(ctc_fwd, CtcFwd) K(ctc_bwd, CtcBwd)                                   \
  K(attention_fwd, AttentionFwd) K(attention_bwd, AttentionBwd) K(rotary, Rotary)                                   \
  K(gather_rows, GatherRows) K(scatter_rows, ScatterRows) K(scatter_add_rows, ScatterAddRows)                       \
  K(gather_along, GatherAlong) K(scatter_along, ScatterAlong) K(nonzero, NonZero) K(triangle, Triangle)             \
  K(bag_sum, BagSum) K(bag_max, BagMax) K(bag_dot, BagDot)                                                          \
  K(sort, Sort) K(topk, TopK) K(kth, Kth) K(search_sorted, SearchSorted)                                            \
  K(random, Random) K(dropout, Dropout)                                                                             \
  K(recurrent_fwd, RecurrentFwd) K(recurrent_bwd, RecurrentBwd)                                                     \
  K(optim_step, OptimStep) K(grad_norm, GradNorm) K(scale_all, ScaleAll) K(clamp_all, ClampAll)                     \
  K(measure_fma, MeasureFma) K(measure_triad, MeasureTriad)

// Those with a form of their own for dot-product instructions; every other entry of these tables is v4's.
#define LAMELLA_VNNI_KERNELS(K) K(gemm_int8, GemmInt8) K(measure_fma, MeasureFma)  // ISA v4vnni
#define LAMELLA_DOT_KERNELS(K) K(gemm, Gemm) K(measure_fma, MeasureFma)  // ISA v4dot: bfloat16; its int8 products are v4vnni's

struct Kernels {  // one per ISA (and, later, one for CUDA)
  const char* isa;
#define K(name, Args) void (*name)(const Args&);
  LAMELLA_KERNELS(K)
#undef K
};

}  // namespace lamella
