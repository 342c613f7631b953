// Runs the tests: --gtest_filter=PATTERN[:PATTERN...][-PATTERN...], --gtest_list_tests.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>

#include "gtest/gtest.h"

namespace testing::stand_in {
namespace {

std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}
std::vector<std::string> traces;
int failures = 0;  // of the running test
bool skipped = false;

bool matches(const char* pattern, const char* text) {
  for (; *pattern && *pattern != ':'; ++pattern, ++text) {
    if (*pattern == '*') {
      for (;; ++text) {
        if (matches(pattern + 1, text)) return true;
        if (!*text) return false;
      }
    }
    if (!*text || (*pattern != '?' && *pattern != *text)) return false;
  }
  return !*text;
}

bool matches_one(const std::string& patterns, const std::string& text) {
  for (size_t at = 0; at <= patterns.size();) {
    if (matches(patterns.c_str() + at, text.c_str())) return true;
    const size_t next = patterns.find(':', at);
    if (next == std::string::npos) return false;
    at = next + 1;
  }
  return false;
}

bool chosen(const std::string& filter, const Test& test) {
  const std::string name = test.suite + "." + test.name;
  const size_t minus = filter.find('-');
  const std::string wanted = minus == 0 ? "*" : filter.substr(0, minus);
  const bool refused = minus != std::string::npos && matches_one(filter.substr(minus + 1), name);
  return matches_one(wanted, name) && !refused;
}

bool run(const Test& test) {
  failures = 0, skipped = false;
  std::printf("[ RUN      ] %s.%s\n", test.suite.c_str(), test.name.c_str());
  std::fflush(stdout);
  const auto begin = std::chrono::steady_clock::now();
  try {
    test.body();
  } catch (const std::exception& error) {
    Report("", 0, std::string("an exception: ") + error.what()) = Message();
  }
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
  const char* how = failures ? "[  FAILED  ]" : skipped ? "[  SKIPPED ]" : "[       OK ]";
  std::printf("%s %s.%s (%.0f ms)\n", how, test.suite.c_str(), test.name.c_str(), took.count());
  std::fflush(stdout);
  return failures == 0;
}

}  // namespace

bool add(const char* suite, const char* name, std::function<void()> body) {
  tests().push_back({suite, name, std::move(body)});
  return true;
}

void Report::operator=(const Message& message) const {
  if (skips_) {
    skipped = true;
    std::printf("%s\n", message.text().c_str());
    return;
  }
  ++failures;
  std::printf("%s:%d: %s\n%s\n", file_, line_, what_.c_str(), message.text().c_str());
  for (auto trace = traces.rbegin(); trace != traces.rend(); ++trace)
    std::printf("    %s\n", trace->c_str());
}

Trace::Trace(const char* file, int line, const Message& message) {
  traces.push_back(std::string(file) + ":" + std::to_string(line) + ": " + message.text());
}
Trace::~Trace() { traces.pop_back(); }

int run_all(const std::string& filter, bool only_list) {
  int count = 0;
  std::vector<std::string> failed;
  std::string suite;
  for (const Test& test : tests()) {
    if (!chosen(filter, test)) continue;
    if (only_list) {
      if (test.suite != suite) std::printf("%s.\n", (suite = test.suite).c_str());
      std::printf("  %s\n", test.name.c_str());
      continue;
    }
    ++count;
    if (!run(test)) failed.push_back(test.suite + "." + test.name);
  }
  if (only_list) return 0;
  std::printf("[  PASSED  ] %d tests.\n", count - static_cast<int>(failed.size()));
  for (const std::string& name : failed) std::printf("[  FAILED  ] %s\n", name.c_str());
  return failed.empty() ? 0 : 1;
}

}  // namespace testing::stand_in

int main(int count, char** words) {
  std::string filter = "*";
  bool only_list = false;
  for (int i = 1; i < count; ++i) {
    if (!std::strncmp(words[i], "--gtest_filter=", 15)) filter = words[i] + 15;
    if (!std::strcmp(words[i], "--gtest_list_tests")) only_list = true;
  }
  return testing::stand_in::run_all(filter, only_list);
}
