// Golden vectors: what a device answered, kept in a file, and compared with what another answers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gs::conformance {

struct Result {
  std::string name;
  int trials = 0, threads = 0, words = 0;  // words that each thread wrote in each trial
  // 0: the same bits. Otherwise the words are floats, the second half of each thread's the sums of
  // the absolute values of what the first half sums up, and these may differ by `bound` of those:
  // the order of additions is the device's.
  double bound = 0;
  uint64_t inputs = 0;  // a hash of the words that went in
  std::vector<uint32_t> data;
};

struct Vectors {
  std::string device, versions, commit;
  std::vector<Result> results;
};

std::string to_text(const Vectors& vectors);
Vectors from_text(const std::string& text);  // std::runtime_error names the line

struct Comparison {
  int compared = 0;                      // cases
  std::vector<std::string> differences;  // wrong
  std::vector<std::string> notes;        // cases that one side lacks, how near the bound was
};
// `name`: of the file, for the messages.
Comparison compare(const Vectors& here, const Vectors& golden, const std::string& name);

// On the current device. A case that ends in a fault takes what follows in its process with it.
Vectors run_all(const std::vector<std::string>& only = {});
std::vector<std::string> case_names();

}  // namespace gs::conformance
