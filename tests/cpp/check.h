// SPDX-License-Identifier: MIT
// The whole test framework: CHECK counts and prints, main returns failures().
#pragma once
#include <cstdio>

inline int& failures() { static int n = 0; return n; }
#define CHECK(condition)                                                        \
  do {                                                                          \
    if (!(condition)) {                                                         \
      std::printf("%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);       \
      ++failures();                                                             \
    }                                                                           \
  } while (0)
#define CHECK_THROWS(Error, expression)                                         \
  do {                                                                          \
    bool thrown = false;                                                        \
    try { (void)(expression); } catch (const Error&) { thrown = true; }         \
    if (!thrown) {                                                              \
      std::printf("%s:%d: no " #Error ": %s\n", __FILE__, __LINE__, #expression); \
      ++failures();                                                             \
    }                                                                           \
  } while (0)
