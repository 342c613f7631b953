#include "conformance/vectors.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <sstream>
#include <stdexcept>

namespace gs::conformance {
namespace {

constexpr const char* kTitle = "gradstone conformance vectors 1";
constexpr size_t kWordsOfLine = 16, kShown = 4;

std::string text_of(const char* format, auto... values) {
  char line[512];
  std::snprintf(line, sizeof line, format, values...);
  return line;
}

float float_of(uint32_t word) {
  float x;
  std::memcpy(&x, &word, 4);
  return x;
}

// Which part of the allowed difference was used; infinity where there is none to allow.
double used(float a, float b, float magnitude, double bound) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b) ? 0 : INFINITY;
  if (a == b) return 0;
  if (!std::isfinite(a) || !std::isfinite(b) || !std::isfinite(magnitude)) return INFINITY;
  return std::fabs(double(a) - double(b)) / (bound * std::fabs(double(magnitude)) + 1e-37);
}

struct Differences {
  size_t wrong = 0, other_bits = 0;
  double largest = 0;
  std::string shown;
};

Differences differences_of(const Result& here, const Result& golden) {
  Differences found;
  const size_t words = static_cast<size_t>(here.words);
  for (size_t i = 0; i < here.data.size(); ++i) {
    const uint32_t a = here.data[i], b = golden.data[i];
    if (a == b) continue;
    ++found.other_bits;
    bool right = false;
    if (here.bound > 0) {
      const size_t half = words / 2, magnitude = i % words < half ? i + half : i;
      const double part =
          used(float_of(a), float_of(b), float_of(golden.data[magnitude]), here.bound);
      found.largest = std::max(found.largest, part);
      right = part <= 1;
    }
    if (right) continue;
    if (++found.wrong <= kShown) {
      const size_t thread = i / words % static_cast<size_t>(here.threads);
      const size_t trial = i / words / static_cast<size_t>(here.threads);
      found.shown +=
          text_of("\n    trial %zu, thread %zu, word %zu: %08x (%g) here, %08x (%g) there", trial,
                  thread, i % words, a, double(float_of(a)), b, double(float_of(b)));
    }
  }
  return found;
}

const Result* find(const Vectors& vectors, const std::string& name) {
  for (const Result& r : vectors.results)
    if (r.name == name) return &r;
  return nullptr;
}

}  // namespace

std::string to_text(const Vectors& vectors) {
  std::string out = std::string(kTitle) + "\ndevice " + vectors.device + "\nversions " +
                    vectors.versions + "\ncommit " + vectors.commit + "\n";
  for (const Result& r : vectors.results) {
    out +=
        text_of("case %s trials %d threads %d words %d bound %g inputs %016llx\n", r.name.c_str(),
                r.trials, r.threads, r.words, r.bound, static_cast<unsigned long long>(r.inputs));
    for (size_t i = 0; i < r.data.size(); ++i)
      out +=
          text_of(i % kWordsOfLine == kWordsOfLine - 1 || i + 1 == r.data.size() ? "%x\n" : "%x ",
                  r.data[i]);
  }
  return out + "end\n";
}

Vectors from_text(const std::string& text) {
  std::istringstream in(text);
  std::string line, word;
  const auto refuse = [&](const char* what) {
    throw std::runtime_error(std::string("not a file of conformance vectors: ") + what + ": '" +
                             line.substr(0, 60) + "'");
  };
  if (!std::getline(in, line) || line != kTitle) refuse("the first line");
  Vectors vectors;
  for (auto& [key, value] :
       {std::pair{"device ", &vectors.device}, std::pair{"versions ", &vectors.versions},
        std::pair{"commit ", &vectors.commit}}) {
    if (!std::getline(in, line) || line.rfind(key, 0) != 0) refuse(key);
    *value = line.substr(std::strlen(key));
  }
  while (std::getline(in, line) && line != "end") {
    Result r;
    char name[128];
    unsigned long long inputs = 0;
    if (std::sscanf(line.c_str(), "case %127s trials %d threads %d words %d bound %lg inputs %llx",
                    name, &r.trials, &r.threads, &r.words, &r.bound, &inputs) != 6)
      refuse("a case");
    r.name = name, r.inputs = inputs;
    const int64_t count = int64_t(r.trials) * r.threads * r.words;
    for (int64_t i = 0; i < count; ++i) {
      if (!(in >> word) || word.size() > 8 ||
          word.find_first_not_of("0123456789abcdef") != std::string::npos)
        refuse("a word is missing or broken");
      r.data.push_back(static_cast<uint32_t>(std::stoul(word, nullptr, 16)));
    }
    std::getline(in, line);  // the rest of the last line
    vectors.results.push_back(std::move(r));
  }
  if (line != "end") refuse("the end is missing");
  return vectors;
}

Comparison compare(const Vectors& here, const Vectors& golden, const std::string& name) {
  Comparison all;
  for (const Result& r : here.results) {
    const Result* g = find(golden, r.name);
    if (!g) {
      all.notes.push_back(r.name + ": not in " + name);
      continue;
    }
    ++all.compared;
    if (g->trials != r.trials || g->threads != r.threads || g->words != r.words ||
        g->inputs != r.inputs) {
      all.differences.push_back(r.name + ": made from other inputs than " + name +
                                ": its vectors must be written anew");
      continue;
    }
    const Differences found = differences_of(r, *g);
    if (found.wrong)
      all.differences.push_back(
          text_of("%s: %zu of %zu words are wrong", r.name.c_str(), found.wrong, r.data.size()) +
          found.shown);
    else if (found.other_bits)
      all.notes.push_back(text_of("%s: %zu of %zu words differ, by %.2f of the bound at most",
                                  r.name.c_str(), found.other_bits, r.data.size(), found.largest));
  }
  for (const Result& g : golden.results)
    if (!find(here, g.name)) all.notes.push_back(g.name + ": in " + name + ", but not run here");
  return all;
}

}  // namespace gs::conformance
