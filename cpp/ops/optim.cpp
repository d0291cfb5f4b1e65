// SPDX-License-Identifier: MIT
#include "optim.h"
#include <cstring>
#include "dispatch/dispatch.h"
#include "elementwise.h"
#include "kernels/optim_rules.h"

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

// Parameters in memory order of their shape: the others are copied, and back by write_back().
class Parameters {
 public:
  Parameters(const char* op, const Arrays& p) : p_(p) {
    out.reserve(p.size());
    for (size_t i = 0; i < p.size(); ++i) {
      check<ValueError>(!p[i].storage->readonly, "[", op, "] a parameter must be writable, got read-only memory");
      ++p[i].storage->version;
      if (p[i].is_contiguous()) {
        out.push_back(p[i].data());
      } else {
        keep_.emplace_back(i, copy(p[i]));
        out.push_back(keep_.back().second.data());
      }
    }
  }
  void write_back() {
    for (auto& [i, values] : keep_) {
      Array target = p_[i];
      copy_(target, values);
    }
  }
  std::vector<void*> out;

 private:
  const Arrays& p_;
  std::vector<std::pair<size_t, Array>> keep_;
};

struct Rule { const char* name; int states, numbers; };
constexpr Rule kRules[] = {
#define R(name, Formula, states, numbers) {#name, states, numbers},
    LAMELLA_OPTIM_RULES(R)
#undef R
};

int find_rule(const char* op, const char* name) {
  int k = 0;
  for (const Rule& r : kRules) {
    if (std::strcmp(r.name, name) == 0) return k;
    ++k;
  }
  throw ValueError(text("[", op, "] rule must be one of kernels/optim_rules.h, got '", name, "'"));
}

}  // namespace

void optim_step(const Arrays& p, const Arrays& g, const std::vector<Arrays>& states, const OptimOptions& o) {
  const int rule = find_rule(o.op, o.rule);
  const Rule& r = kRules[rule];
  check<ValueError>(int(states.size()) == r.states && int(o.numbers.size()) == r.numbers, "[", o.op, "] rule ", r.name,
                    " must have ", r.states, " states and ", r.numbers, " numbers, got ", states.size(), " and ",
                    o.numbers.size());
  check<ValueError>(!o.live || (!here().is_cpu() && o.live->dtype == DType::f64 && o.live->numel() == 2 + r.numbers), "[", o.op,
                    "] live must be ", 2 + r.numbers, " float64 numbers on the parameters' GPU");
  const Lists l = lists_of(o.op, p);
  Arrays keep;
  const auto pg = read(o.op, p, g, keep);
  std::vector<void*> state[kMaxOptimStates];
  void* const* pointers[kMaxOptimStates] = {};
  for (int k = 0; k < r.states; ++k) {
    state[k] = written(o.op, o.names[size_t(k)], p, states[size_t(k)]);
    pointers[k] = state[k].data();
  }
  Parameters pp(o.op, p);
  kernels().optim_step({l.list(), pp.out.data(), pg.data(), pointers, o.numbers.data(), o.decay, o.shrink, rule, o.maximize,
                        o.live ? o.live->data<double>() : nullptr});
  pp.write_back();
}

Array grad_norm(const Arrays& g, double p) {
  Lists l = lists_of("grad_norm", g);
  Arrays keep;
  auto pg = read("grad_norm", g, g, keep);
  Array norm = empty({}, DType::f64);
  const NormOrder order = p == 2 ? NormOrder::two : p == 1 ? NormOrder::one : NormOrder::infinity;
  kernels().grad_norm({l.list(), pg.data(), norm.data<double>(), order});
  return norm;
}

void scale_all(const Arrays& g, double scale, const Array* factor) {
  check<TypeError>(!factor || (factor->dtype == DType::f64 && factor->numel() == 1),
                   "[scale_all] factor must be one float64 number, got ", factor ? factor->shape : Shape{});
  Lists l = lists_of("scale_all", g);
  auto pg = written("scale_all", "gradient", g, g);
  kernels().scale_all({l.list(), pg.data(), scale, factor ? factor->data<double>() : nullptr});
}

void clamp_all(const Arrays& g, double low, double high) {
  Lists l = lists_of("clamp_all", g);
  auto pg = written("clamp_all", "gradient", g, g);
  kernels().clamp_all({l.list(), pg.data(), low, high});
}

}  // namespace lamella::ops
