// SPDX-License-Identifier: MIT
#include "optim.h"
#include "dispatch/dispatch.h"
#include "elementwise.h"

namespace lamella::ops {
namespace {

struct Lists {  // the kernel's view of several equally long lists
  std::vector<int64_t> size;
  std::vector<DType> dtype;
  TensorList list() const { return {int64_t(size.size()), size.data(), dtype.data()}; }
};

Lists lists_of(const char* op, const Arrays& p) {
  Lists l;
  l.size.reserve(p.size());
  l.dtype.reserve(p.size());
  for (const Array& a : p) {
    check<TypeError>(is_floating(a.dtype), "[", op, "] tensors must have floating dtypes, got ", name_of(a.dtype));
    l.size.push_back(a.numel());
    l.dtype.push_back(a.dtype);
  }
  return l;
}

// Pointers of a list that is written: each must be like its parameter, contiguous and writable.
std::vector<void*> written(const char* op, const char* name, const Arrays& p, const Arrays& x) {
  check<ValueError>(x.size() == p.size(), "[", op, "] ", name, " must hold ", p.size(), " tensors, got ", x.size());
  std::vector<void*> out;
  out.reserve(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    check<ValueError>(x[i].shape == p[i].shape && x[i].dtype == p[i].dtype, "[", op, "] ", name,
                      " must be like its parameter, ", describe(p[i]), ", got ", describe(x[i]));
    check<ValueError>(x[i].is_contiguous(), "[", op, "] ", name, " must be contiguous, got strides ", x[i].strides);
    check<ValueError>(!x[i].storage->readonly, "[", op, "] ", name, " must be writable, got read-only memory");
    ++x[i].storage->version;
    out.push_back(x[i].data());
  }
  return out;
}

// Pointers of the gradients; those that are not contiguous are copied into `keep`.
std::vector<const void*> read(const char* op, const Arrays& p, const Arrays& g, Arrays& keep) {
  check<ValueError>(g.size() == p.size(), "[", op, "] gradients must be ", p.size(), " tensors, got ", g.size());
  std::vector<const void*> out;
  out.reserve(g.size());
  for (size_t i = 0; i < g.size(); ++i) {
    check<ValueError>(g[i].shape == p[i].shape && g[i].dtype == p[i].dtype, "[", op,
                      "] a gradient must be like its parameter, ", describe(p[i]), ", got ", describe(g[i]));
    if (g[i].is_contiguous()) {
      out.push_back(g[i].data());
    } else {
      keep.push_back(contiguous(g[i]));
      out.push_back(keep.back().data());
    }
  }
  return out;
}

}  // namespace

void sgd_step(const Arrays& p, const Arrays& g, const Arrays& momentum, const SgdOptions& o) {
  Lists l = lists_of("SGD", p);
  Arrays keep;
  auto pg = read("SGD", p, g, keep);
  auto pp = written("SGD", "parameter", p, p);
  std::vector<void*> pv;
  if (!momentum.empty()) pv = written("SGD", "momentum_buffer", p, momentum);
  kernels().sgd_step({l.list(), pp.data(), pg.data(), momentum.empty() ? nullptr : pv.data(), o.lr, o.momentum,
                      o.dampening, o.weight_decay, o.nesterov, o.maximize, o.first});
}

void adam_step(const Arrays& p, const Arrays& g, const Arrays& m, const Arrays& v, const Arrays& vmax,
               const AdamOptions& o) {
  const char* op = o.decoupled ? "AdamW" : "Adam";
  Lists l = lists_of(op, p);
  Arrays keep;
  auto pg = read(op, p, g, keep);
  auto pp = written(op, "parameter", p, p), pm = written(op, "exp_avg", p, m), pv = written(op, "exp_avg_sq", p, v);
  std::vector<void*> px;
  if (!vmax.empty()) px = written(op, "max_exp_avg_sq", p, vmax);
  kernels().adam_step({l.list(), pp.data(), pg.data(), pm.data(), pv.data(), vmax.empty() ? nullptr : px.data(), o.lr,
                       o.beta1, o.beta2, o.eps, o.weight_decay, o.step, o.decoupled, o.maximize});
}

double grad_norm(const Arrays& g, double p) {
  Lists l = lists_of("grad_norm", g);
  Arrays keep;
  auto pg = read("grad_norm", g, g, keep);
  double norm = 0;
  const NormOrder order = p == 2 ? NormOrder::two : p == 1 ? NormOrder::one : NormOrder::infinity;
  kernels().grad_norm({l.list(), pg.data(), &norm, order});
  return norm;
}

void scale_all(const Arrays& g, double scale) {
  Lists l = lists_of("scale_all", g);
  auto pg = written("scale_all", "gradient", g, g);
  kernels().scale_all({l.list(), pg.data(), scale});
}

void clamp_all(const Arrays& g, double low, double high) {
  Lists l = lists_of("clamp_all", g);
  auto pg = written("clamp_all", "gradient", g, g);
  kernels().clamp_all({l.list(), pg.data(), low, high});
}

}  // namespace lamella::ops
