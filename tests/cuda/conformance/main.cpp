// gradstone_conformance list                          the cases: a wrapper of cuda/ptx/ each
// gradstone_conformance write FILE COMMIT [CASE...]   runs all or these here, keeps the answers
// gradstone_conformance compare FILE...               runs them here and compares with the answers
//
// Built by nvcc it runs on the GPU, built as gradstone_conformance_emu on the emulator.
#include <cstdio>
#include <exception>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "conformance/vectors.h"

namespace gs::conformance {
namespace {

int write(const char* file, const char* commit, const std::vector<std::string>& only) {
  Vectors vectors = run_all(only);
  vectors.commit = commit;
  std::ofstream out(file);
  out << to_text(vectors);
  out.close();
  if (!out) {
    std::fprintf(stderr, "cannot write %s\n", file);
    return 2;
  }
  std::printf("%s (%s): %zu cases written to %s\n", vectors.device.c_str(),
              vectors.versions.c_str(), vectors.results.size(), file);
  return 0;
}

int compare_with(const Vectors& here, const char* file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  const Vectors golden = from_text(text.str());
  const Comparison all = compare(here, golden, file);
  std::printf("%s beside %s: %d cases, %zu differ\n", here.device.c_str(), golden.device.c_str(),
              all.compared, all.differences.size());
  for (const std::string& note : all.notes) std::printf("  %s\n", note.c_str());
  for (const std::string& difference : all.differences) std::printf("  %s\n", difference.c_str());
  return all.differences.empty() && all.compared ? 0 : 1;
}

int run(int count, char** words) {
  const std::string what = count > 1 ? words[1] : "";
  if (what == "list") {
    for (const std::string& name : case_names()) std::puts(name.c_str());
    return 0;
  }
  if (what == "write" && count >= 4) return write(words[2], words[3], {words + 4, words + count});
  if (what != "compare" || count < 3) {
    std::fprintf(stderr, "usage: %s list | write FILE COMMIT [CASE...] | compare FILE...\n",
                 words[0]);
    return 2;
  }
  const Vectors here = run_all();
  int worst = 0;
  for (int i = 2; i < count; ++i) worst |= compare_with(here, words[i]);
  return worst;
}

}  // namespace
}  // namespace gs::conformance

int main(int count, char** words) {
  try {
    return gs::conformance::run(count, words);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", words[0], error.what());
    return 2;
  }
}
