// SPDX-License-Identifier: MIT
#include "ops/attention.h"
#include "core/backend.h"
#include "dispatch/dispatch.h"
#include "param.h"

namespace lamella::ops {
namespace {

constexpr const char* kOp = "scaled_dot_product_attention";

Shape leading(const Array& x) { return Shape(x.shape.begin(), x.shape.end() - 2); }

Array adjacent(const Array& x) { return x.shape.back() > 1 && x.strides.back() != 1 ? contiguous(x) : x; }

// The kernel's view of the operands, with what it points into.
struct Prepared {
  Attention a{};
  Array q, k, v;
  Shape batch;       // of the result
  int64_t group = 1; // heads of the result that share one of key and value
  bool split = false;  // the last of batch is (key heads, group); else it is the group, or the group is an added 1

  // Strides of x over `heads`; x (its last two dimensions aside) broadcasts to batch, or has the key's heads (`shared`).
  void strides(const Array& x, int64_t* out, bool shared) const {
    const int lead = batch.n - (x.ndim() - 2), last = batch.n - 1;
    for (int d = 0; d < batch.n; ++d) {
      const int from = d - lead;
      out[d] = from < 0 || x.shape[from] == 1 ? 0 : x.strides[from];
    }
    if (split) {
      const int64_t step = out[last];
      out[last] = shared ? step : step * group;
      out[last + 1] = shared ? 0 : step;
    } else if (a.ndim > batch.n) {
      out[batch.n] = 0;
    }
  }
  template <class Heads> Heads heads(const Array& x, bool shared) const {
    Heads h{};
    h.x = x.data();
    strides(x, h.batch, shared);
    h.row = x.strides[x.ndim() - 2];
    return h;
  }
  // (..., rows, n) with the heads next to the last dimension in memory.
  Array result(int64_t rows, int64_t n, bool shared) const {
    Shape shape = batch;
    if (shape.n && shared) shape[shape.n - 1] /= group;
    if (shape.n < 2) {
      shape.push(rows);
      shape.push(n);
      return empty(shape, a.dtype);
    }
    shape.insert(shape.n - 1, rows);
    shape.push(n);
    return empty(shape, a.dtype).transpose(shape.n - 3, shape.n - 2);
  }
};

void check_operands(const Array& q, const Array& k, const Array& v, bool grouped) {
  const int least = grouped ? 3 : 2;
  check(q.ndim() >= least && k.ndim() >= least && v.ndim() >= least, "[", kOp, "] query, key and value must have at least ",
        least, " dimensions, got ", q.shape, ", ", k.shape, " and ", v.shape);
  check<TypeError>(q.dtype == k.dtype && q.dtype == v.dtype && is_floating(q.dtype), "[", kOp,
                   "] query, key and value must have one floating dtype, got ", name_of(q.dtype), ", ", name_of(k.dtype),
                   " and ", name_of(v.dtype));
  check(q.size(-1) == k.size(-1), "[", kOp, "] query and key must have the same last size, got ", q.shape, " and ", k.shape);
  check(k.size(-2) == v.size(-2), "[", kOp, "] key and value must have the same length (dimension -2), got ", k.shape, " and ",
        v.shape);
  if (grouped)
    check(k.size(-3) == v.size(-3) && k.size(-3) > 0 && q.size(-3) > 0 && q.size(-3) % k.size(-3) == 0, "[", kOp,
          "] heads of key and value (dimension -3) must be equal and divide the query's, got ", q.shape, ", ", k.shape,
          " and ", v.shape);
}

// Mask strides; its shape must broadcast to batch + (l, s).
void attach_mask(Prepared& p, const Array& mask) {
  Attention& a = p.a;
  check<TypeError>(mask.dtype == DType::b8 || is_floating(mask.dtype), "[", kOp,
                   "] attn_mask must be bool or floating, got ", name_of(mask.dtype));
  Shape full = p.batch;
  full.push(a.l);
  full.push(a.s);
  bool fits = mask.ndim() <= full.n;
  for (int d = 1; fits && d <= mask.ndim(); ++d) fits = mask.size(-d) == 1 || mask.size(-d) == full[full.n - d];
  check(fits, "[", kOp, "] attn_mask must broadcast to ", full, ", got ", mask.shape);
  Array wide = mask;
  while (wide.ndim() < 2) wide = wide.unsqueeze(0);
  p.strides(wide, a.mask_batch, false);
  a.mask = wide.data(), a.mask_dtype = wide.dtype;
  a.mask_row = wide.size(-2) == 1 ? 0 : wide.strides[wide.ndim() - 2];
  a.mask_col = wide.size(-1) == 1 ? 0 : wide.strides[wide.ndim() - 1];
}

Prepared prepare(const Array& query, const Array& key, const Array& value, const std::optional<Array>& mask,
                 const AttentionOptions& o) {
  check_operands(query, key, value, o.grouped);
  Prepared p;
  Attention& a = p.a;
  a.dtype = query.dtype;
  a.l = query.size(-2), a.s = key.size(-2), a.e = query.size(-1), a.ev = value.size(-1);
  a.scale = o.scale, a.dropout = o.dropout, a.causal = o.causal, a.seed = o.seed, a.stream = o.stream;
  if (a.dropout > 0) a.shift = random_shift();
  Shape kb = leading(key), vb = leading(value);
  if (o.grouped) {
    p.group = query.size(-3) / key.size(-3);
    kb[kb.n - 1] = vb[vb.n - 1] = query.size(-3);
    p.split = true;
  }
  p.batch = broadcast(kOp, broadcast(kOp, leading(query), kb), vb);
  for (int d = 0; d < p.batch.n; ++d) a.heads[d] = p.batch[d];
  a.ndim = p.batch.n;
  const bool one = p.batch.n && (kb.n == 0 || kb.back() == 1) && (vb.n == 0 || vb.back() == 1);  // a head for all of q's
  if (p.split) {
    a.heads[a.ndim - 1] /= p.group;
    a.heads[a.ndim++] = p.group;
  } else if (one && p.batch.back() > 1) {
    p.group = p.batch.back();
  } else {
    a.heads[a.ndim++] = 1;
  }
  p.q = adjacent(query), p.k = adjacent(key), p.v = adjacent(value);
  a.q = p.heads<HeadsIn>(p.q, false), a.k = p.heads<HeadsIn>(p.k, true), a.v = p.heads<HeadsIn>(p.v, true);
  if (mask) attach_mask(p, *mask);
  return p;
}

}  // namespace

std::tuple<Array, Array> attention_fwd(const Array& query, const Array& key, const Array& value,
                                       const std::optional<Array>& mask, const AttentionOptions& options) {
  const Prepared p = prepare(query, key, value, mask, options);
  Shape rows = p.batch;
  rows.push(p.a.l);
  Array y = p.result(p.a.l, p.a.ev, false), lse = empty(rows, wide_dtype(query.dtype));
  kernels().attention_fwd({p.a, p.heads<HeadsOut>(y, false), lse.data()});
  return {y, lse};
}

std::tuple<Array, Array, Array> attention_bwd(const Array& query, const Array& key, const Array& value,
                                              const std::optional<Array>& mask, const Array& y, const Array& lse,
                                              const Array& dy, const AttentionOptions& options) {
  const Prepared p = prepare(query, key, value, mask, options);
  const Attention& a = p.a;
  const Array by = adjacent(y), bdy = adjacent(dy);
  Array dq = p.result(a.l, a.e, false), dk = p.result(a.s, a.e, true), dv = p.result(a.s, a.ev, true);
  kernels().attention_bwd({a, p.heads<HeadsIn>(by, false), p.heads<HeadsIn>(bdy, false), lse.data(),
                           p.heads<HeadsOut>(dq, false), p.heads<HeadsOut>(dk, true), p.heads<HeadsOut>(dv, true)});
  return {dq, dk, dv};
}

}  // namespace lamella::ops
