// SPDX-License-Identifier: MIT
// Indices out of range, found while the host has gone on: kept until it next waits for the device, then raised.
#pragma once
#include <cstdint>

namespace lamella::cuda {

void check_index(const char* op, const int64_t* index, int64_t* out, int64_t n, int64_t size, bool wrap, int64_t ignore);
void prepare_faults();  // what a capture must find made
void raise_faults();    // of the current device

}  // namespace lamella::cuda
