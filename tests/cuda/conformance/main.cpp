// gradstone_conformance write FILE [COMMIT]     runs every wrapper of cuda/ptx/ here, keeps the
// answers gradstone_conformance compare FILE...         runs them here and compares with those
// answers
//
// Built by nvcc it runs on the GPU, built as gradstone_conformance_emu on the emulator.
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <sstream>

#include "conformance/vectors.h"

namespace gs::conformance {
namespace {

int write(const char* file, const char* commit) {
  Vectors vectors = run_all();
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
  if (count >= 3 && !std::strcmp(words[1], "write"))
    return write(words[2], count > 3 ? words[3] : "unknown");
  if (count < 3 || std::strcmp(words[1], "compare")) {
    std::fprintf(stderr, "usage: %s write FILE [COMMIT] | compare FILE...\n", words[0]);
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
