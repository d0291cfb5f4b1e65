// SPDX-License-Identifier: MIT
// Work that still reads or writes a block of memory whose owner has let go of it.
#pragma once
#include <vector>
#include "runtime.h"

namespace lamella::cuda {

// Marks in the streams that a block was used on. One user at a time: the pools have locks of their own.
class Uses {
 public:
  bool empty() const { return marks_.empty(); }
  void add(cudaStream_t);             // what is queued on this stream of the current device now
  bool over() noexcept;               // whether all of it is done; forgets what is

 private:
  struct Mark { int device; cudaStream_t stream; cudaEvent_t event; };
  std::vector<Mark> marks_;
};

}  // namespace lamella::cuda
