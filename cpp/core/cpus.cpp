// SPDX-License-Identifier: MIT
#include "cpus.h"
#include <sched.h>
#include <algorithm>
#include <fstream>
#include <sstream>

namespace lamella {

static int quota_to_cpus(double quota, double period) {
  return quota > 0 && period > 0 ? std::max(1, int(quota / period)) : 0;
}

// cgroup v2: "max 100000" or "150000 100000".
static int read_v2(const std::string& path) {
  std::ifstream f(path);
  std::string quota;
  double period = 0;
  if (!(f >> quota >> period) || quota == "max") return 0;
  try {
    return quota_to_cpus(std::stod(quota), period);
  } catch (...) {
    return 0;
  }
}

static int read_v1(const std::string& folder) {
  std::ifstream q(folder + "/cpu.cfs_quota_us"), p(folder + "/cpu.cfs_period_us");
  double quota = 0, period = 0;
  return q >> quota && p >> period ? quota_to_cpus(quota, period) : 0;
}

static int tighter(int a, int b) { return !a ? b : !b ? a : std::min(a, b); }

int cgroup_cpus(const std::string& root) {
  // Inside a container the own group is usually mounted at the top; outside, every ancestor's quota counts.
  std::string base = root + "/sys/fs/cgroup";
  int cpus = tighter(read_v2(base + "/cpu.max"), tighter(read_v1(base + "/cpu"), read_v1(base + "/cpu,cpuacct")));
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {  // "0::/path" or "4:cpu,cpuacct:/path"
    size_t a = line.find(':'), b = line.find(':', a + 1);
    if (a == std::string::npos || b == std::string::npos) continue;
    std::string controllers = line.substr(a + 1, b - a - 1), path = line.substr(b + 1);
    bool v2 = controllers.empty(), v1 = ("," + controllers + ",").find(",cpu,") != std::string::npos;
    for (; path.size() > 1; path = path.substr(0, path.rfind('/'))) {
      if (v2) cpus = tighter(cpus, read_v2(base + path + "/cpu.max"));
      if (v1) cpus = tighter(cpus, tighter(read_v1(base + "/cpu" + path), read_v1(base + "/cpu,cpuacct" + path)));
    }
  }
  return cpus;
}

int available_cpus() {
  static const int n = [] {
    cpu_set_t set;
    int cpus = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return std::max(1, tighter(cgroup_cpus(""), cpus));
  }();
  return n;
}

}  // namespace lamella
