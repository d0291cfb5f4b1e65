// SPDX-License-Identifier: MIT
// Which table runs: the best ISA that this machine's features allow, or the one LAMELLA_ISA forces.
#pragma once
#include <string>
#include <vector>
#include "../kernels/kernels.h"

namespace lamella {

struct CpuFeatures { bool v2 = false, v3 = false, v4 = false, vnni = false, dot = false, neon = false; };  // vnni, dot: AVX-512 VNNI, and BF16
CpuFeatures cpu_features();                       // of this machine, by CPUID; the vendor is never asked
std::vector<std::string> isas_for(CpuFeatures);   // of those built in: the ones that may run, best last

const Kernels& kernels();                         // that of this thread's device; of the CPU the active one (LAMELLA_ISA, on first use)
void set_isa(const std::string& name);            // "" or "auto": the best; ValueError if built out or not on this machine
std::vector<std::string> kernel_names();          // from the list
std::vector<std::string> own_kernels(const std::string& isa);  // of them, those that a lower ISA does not share

}  // namespace lamella
