// What the kernel tests use of GoogleTest, for machines that have none and no network: the same
// names, filter, list and messages. Where GoogleTest is installed it is used.
#pragma once

#include <functional>
#include <sstream>
#include <string>
#include <vector>

namespace testing {

class Message {
 public:
  template <class T>
  Message& operator<<(const T& value) {
    out_ << value;
    return *this;
  }
  std::string text() const { return out_.str(); }

 private:
  std::ostringstream out_;
};

namespace stand_in {

struct Test {
  std::string suite, name;
  std::function<void()> body;
};
bool add(const char* suite, const char* name, std::function<void()> body);

// The result of a check: reported when it is assigned to, so that a message can be given first.
class Report {
 public:
  Report(const char* file, int line, std::string what, bool skips = false)
      : file_(file), line_(line), what_(std::move(what)), skips_(skips) {}
  void operator=(const Message& message) const;

 private:
  const char* file_;
  int line_;
  std::string what_;
  bool skips_;
};

class Trace {
 public:
  Trace(const char* file, int line, const Message& message);
  ~Trace();
};

template <class T>
std::string show(const T& value) {
  if constexpr (requires(std::ostream& out) { out << value; }) {
    std::ostringstream out;
    out << value;
    return out.str();
  } else {
    return "a value";
  }
}

// Empty: it holds.
template <class A, class B, class Holds>
std::string compare(const A& a, const B& b, const char* what, const Holds& holds) {
  if (holds(a, b)) return {};
  return std::string("expected ") + what + "\n    left:  " + show(a) + "\n    right: " + show(b);
}

}  // namespace stand_in
}  // namespace testing

#define GS_TEST_CHECK_(failure, ...)                                \
  if (const ::std::string gs_failed = (failure); gs_failed.empty()) \
    ;                                                               \
  else                                                              \
    __VA_ARGS__ ::testing::stand_in::Report(__FILE__, __LINE__, gs_failed) = ::testing::Message()
#define GS_TEST_TRUE_(condition, wanted)             \
  ((condition) ? wanted : !wanted) ? ::std::string() \
                                   : ::std::string("expected " #wanted ": " #condition)
#define GS_TEST_COMPARE_(a, op, b)                      \
  ::testing::stand_in::compare(a, b, #a " " #op " " #b, \
                               [](const auto& gs_a, const auto& gs_b) { return gs_a op gs_b; })

#define EXPECT_TRUE(condition) GS_TEST_CHECK_(GS_TEST_TRUE_(condition, true))
#define EXPECT_FALSE(condition) GS_TEST_CHECK_(GS_TEST_TRUE_(condition, false))
#define EXPECT_EQ(a, b) GS_TEST_CHECK_(GS_TEST_COMPARE_(a, ==, b))
#define EXPECT_NE(a, b) GS_TEST_CHECK_(GS_TEST_COMPARE_(a, !=, b))
#define EXPECT_LE(a, b) GS_TEST_CHECK_(GS_TEST_COMPARE_(a, <=, b))
#define EXPECT_LT(a, b) GS_TEST_CHECK_(GS_TEST_COMPARE_(a, <, b))
#define EXPECT_GE(a, b) GS_TEST_CHECK_(GS_TEST_COMPARE_(a, >=, b))
#define EXPECT_GT(a, b) GS_TEST_CHECK_(GS_TEST_COMPARE_(a, >, b))
#define EXPECT_NEAR(a, b, limit) EXPECT_LE(::std::abs((a) - (b)), limit)
#define ASSERT_TRUE(condition) GS_TEST_CHECK_(GS_TEST_TRUE_(condition, true), return)
#define ASSERT_FALSE(condition) GS_TEST_CHECK_(GS_TEST_TRUE_(condition, false), return)
#define ASSERT_EQ(a, b) GS_TEST_CHECK_(GS_TEST_COMPARE_(a, ==, b), return)
#define ASSERT_NE(a, b) GS_TEST_CHECK_(GS_TEST_COMPARE_(a, !=, b), return)
#define ASSERT_LE(a, b) GS_TEST_CHECK_(GS_TEST_COMPARE_(a, <=, b), return)
#define ASSERT_LT(a, b) GS_TEST_CHECK_(GS_TEST_COMPARE_(a, <, b), return)
#define ASSERT_GE(a, b) GS_TEST_CHECK_(GS_TEST_COMPARE_(a, >=, b), return)
#define ASSERT_GT(a, b) GS_TEST_CHECK_(GS_TEST_COMPARE_(a, >, b), return)
#define EXPECT_THROW(statement, Error)              \
  GS_TEST_CHECK_(([&]() -> ::std::string {          \
    try {                                           \
      statement;                                    \
    } catch (const Error&) {                        \
      return {};                                    \
    }                                               \
    return "expected an exception of type " #Error; \
  }()))
#define ASSERT_NO_FATAL_FAILURE(statement) statement
#define ADD_FAILURE() \
  ::testing::stand_in::Report(__FILE__, __LINE__, "failure") = ::testing::Message()
#define FAIL() return ADD_FAILURE()
#define GTEST_SKIP() \
  return ::testing::stand_in::Report(__FILE__, __LINE__, "skipped", true) = ::testing::Message()
#define SCOPED_TRACE(message)                                          \
  const ::testing::stand_in::Trace GS_TEST_NAME_(gs_trace_, __LINE__)( \
      __FILE__, __LINE__, ::testing::Message() << ::testing::stand_in::text_of(message))
#define GS_TEST_NAME_(a, b) GS_TEST_NAME_AGAIN_(a, b)
#define GS_TEST_NAME_AGAIN_(a, b) a##b
#define TEST(suite, name)                                             \
  static void suite##_##name##_body();                                \
  [[maybe_unused]] static const bool suite##_##name##_added =         \
      ::testing::stand_in::add(#suite, #name, suite##_##name##_body); \
  static void suite##_##name##_body()

namespace testing::stand_in {
inline std::string text_of(const Message& message) { return message.text(); }
template <class T>
std::string text_of(const T& value) {
  return (Message() << value).text();
}
}  // namespace testing::stand_in
