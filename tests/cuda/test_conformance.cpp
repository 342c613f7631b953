// The wrappers of cuda/ptx/ against what hardware answered, and the way there: file, comparison.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "conformance/vectors.h"

namespace gs::conformance {
namespace {

const Vectors& here() {
  static const Vectors vectors = run_all();
  return vectors;
}

TEST(Conformance, AgreesWithWhatHardwareAnswered) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(GS_GOLDEN_FOLDER)) {
    if (entry.path().extension() != ".txt") continue;
    std::ostringstream text;
    text << std::ifstream(entry.path()).rdbuf();
    const Comparison all = compare(here(), from_text(text.str()), entry.path().filename().string());
    for (const std::string& difference : all.differences) ADD_FAILURE() << difference;
    EXPECT_TRUE(all.compared > 0);
    ++files;
  }
  if (!files) GTEST_SKIP() << "no golden vectors: no hardware has run the wrappers of cuda/ptx/";
}

TEST(Conformance, TheFileKeepsEverything) {
  const Vectors back = from_text(to_text(here()));
  EXPECT_EQ(back.device, here().device);
  EXPECT_EQ(back.versions, here().versions);
  EXPECT_EQ(back.results.size(), here().results.size());
  const Comparison all = compare(here(), back, "itself");
  EXPECT_EQ(all.differences.size(), size_t(0));
  EXPECT_EQ(all.notes.size(), size_t(0));
  EXPECT_EQ(all.compared, static_cast<int>(here().results.size()));
  for (size_t i = 0; i < back.results.size(); ++i)
    EXPECT_TRUE(back.results[i].data == here().results[i].data);
}

// One word of each case in turn: another exact word, or a sum further away than its bound.
TEST(Conformance, APlantedDifferenceIsFound) {
  for (size_t i = 0; i < here().results.size(); ++i) {
    SCOPED_TRACE(here().results[i].name);
    Vectors golden = from_text(to_text(here()));
    Result& r = golden.results[i];
    const size_t at =
        static_cast<size_t>(r.threads + 3) * r.words;  // whole numbers, the second trial
    r.data[at] ^= r.bound > 0 ? 0x40000000u : 1u;
    const Comparison all = compare(here(), golden, "planted");
    ASSERT_EQ(all.differences.size(), size_t(1));
    EXPECT_TRUE(all.differences[0].find("trial 1, thread 3, word 0") != std::string::npos);
  }
}

// The last bit of a sum is the order's; NaN and infinity are not.
TEST(Conformance, SumsMayDifferByTheirBoundAlone) {
  for (const Result& r : here().results) {
    if (r.bound == 0) continue;
    SCOPED_TRACE(r.name);
    Vectors golden{here().device, "", "", {r}};
    golden.results[0].data[0] ^= 1;
    EXPECT_EQ(compare({"", "", "", {r}}, golden, "last bit").differences.size(), size_t(0));
    auto& data = golden.results[0].data;
    const auto is_nan = [](uint32_t word) { return (word & 0x7fffffffu) > 0x7f800000u; };
    const auto nan = std::find_if(data.begin(), data.end(), is_nan);
    ASSERT_TRUE(nan != data.end());
    *nan ^= 1;  // another NaN
    EXPECT_EQ(compare({"", "", "", {r}}, golden, "NaN").differences.size(), size_t(0));
    *nan = 0;
    EXPECT_EQ(compare({"", "", "", {r}}, golden, "no NaN").differences.size(), size_t(1));
  }
}

TEST(Conformance, OtherInputsAndBrokenFilesAreRefused) {
  Vectors golden = here();
  golden.results[0].inputs ^= 1;
  golden.results[1].name = "of another time";
  const Comparison all = compare(here(), golden, "old");
  EXPECT_EQ(all.differences.size(), size_t(1));
  EXPECT_EQ(all.notes.size(), size_t(2));  // one that the file lacks, one that it alone has
  const std::string text = to_text(here());
  for (const std::string& broken :
       {std::string("some other file\n"), text.substr(0, text.size() / 2), std::string()}) {
    bool refused = false;
    try {
      from_text(broken);
    } catch (const std::runtime_error&) {
      refused = true;
    }
    EXPECT_TRUE(refused);
  }
}

}  // namespace
}  // namespace gs::conformance
