// SPDX-License-Identifier: MIT
// Convolution over 1, 2 or 3 spatial dims: x (n, c, ...), w (k, c / groups, ...), y (n, k, ...). The three functions are
// each other's gradients.
#pragma once
#include <utility>
#include "core/array.h"
#include "kernels/kernels.h"

namespace lamella::ops {

struct ConvOptions { Dims stride, padding, dilation; int64_t groups; };  // one value per spatial dim

// Whether 3x3 convolutions of many channels may go Winograd's way (kernels/conv_winograd.h): of all threads, true at first.
bool conv_winograd();
void set_conv_winograd(bool);

Array conv(const Array& x, const Array& w, const Array* bias, const ConvOptions&, Act act = Act::none);
// d(sum dy . conv(x, w)) / dx for x of shape `input`; plus a bias per channel, or null.
Array conv_input_grad(const Array& dy, const Array& w, const Shape& input, const ConvOptions&, const Array* bias = nullptr);
// The same / dw for w of shape `kernel`, and / dbias (undefined unless `with_bias`).
std::pair<Array, Array> conv_weight_grad(const Array& dy, const Array& x, const Shape& kernel, const ConvOptions&,
                                         bool with_bias);

}  // namespace lamella::ops
