// SPDX-License-Identifier: MIT
// How many processors this process may use.
#pragma once
#include <string>

namespace lamella {

// The cgroup's quota in whole processors, rounded down but at least 1; 0 where there is none. `root` stands for "/", so
// that tests can give a tree of their own: root/proc/self/cgroup, root/sys/fs/cgroup/...
int cgroup_cpus(const std::string& root);

int available_cpus();  // min(affinity mask, cgroup quota)

}  // namespace lamella
