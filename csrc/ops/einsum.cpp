// Einstein summation, reduced to batched matrix products from left to right.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "ops/common.h"

namespace gs::ops {
namespace {

using Labels =
    std::vector<int>;  // one label per dimension; letters, and numbers above 1000 for "..."

struct Equation {
  std::vector<Labels> operands;
  Labels output;
};

constexpr int kEllipsis = 1000;

Labels parse_term(const std::string& term, int64_t ndim, const std::string& equation) {
  Labels out;
  const size_t dots = term.find("...");
  std::string letters = term;
  if (dots != std::string::npos) letters.erase(dots, 3);
  const int64_t hidden =
      dots == std::string::npos ? 0 : ndim - static_cast<int64_t>(letters.size());
  GS_CHECK(hidden >= 0 && static_cast<int64_t>(letters.size()) + hidden == ndim, Value, "einsum",
           "term '", term, "' of '", equation, "' does not fit an operand with ", ndim,
           " dimensions.");
  for (size_t i = 0; i <= letters.size(); ++i) {
    if (i == dots)
      for (int64_t k = 0; k < hidden; ++k) out.push_back(kEllipsis + static_cast<int>(hidden - k));
    if (i == letters.size()) break;
    GS_CHECK(std::isalpha(static_cast<unsigned char>(letters[i])), Value, "einsum", "unexpected '",
             letters[i], "' in '", equation, "'.");
    out.push_back(letters[i]);
  }
  return out;
}

Equation parse(const std::string& text, const Tensors& tensors) {
  std::string eq;
  for (char c : text)
    if (c != ' ') eq.push_back(c);
  const size_t arrow = eq.find("->");
  const std::string left = eq.substr(0, arrow);
  std::vector<std::string> terms(1);
  for (char c : left) {
    if (c == ',')
      terms.emplace_back();
    else
      terms.back().push_back(c);
  }
  GS_CHECK(terms.size() == tensors.size(), Value, "einsum", "'", text, "' names ", terms.size(),
           " operands, got ", tensors.size(), ".");
  Equation out;
  std::map<int, int> count;
  for (size_t i = 0; i < terms.size(); ++i) {
    out.operands.push_back(parse_term(terms[i], tensors[i].dim(), text));
    for (int label : out.operands.back()) ++count[label];
  }
  if (arrow == std::string::npos) {  // the labels that occur once, in order; "..." first
    for (auto it = count.rbegin(); it != count.rend(); ++it)
      if (it->first > kEllipsis) out.output.push_back(it->first);
    for (auto [label, times] : count)
      if (label < kEllipsis && times == 1) out.output.push_back(label);
    return out;
  }
  const std::string right = eq.substr(arrow + 2);
  int64_t hidden = 0;
  for (auto [label, times] : count)
    hidden = std::max<int64_t>(hidden, label > kEllipsis ? label - kEllipsis : 0);
  const size_t dots = right.find("...");
  out.output = parse_term(right,
                          static_cast<int64_t>(right.size()) - (dots == std::string::npos ? 0 : 3) +
                              (dots == std::string::npos ? 0 : hidden),
                          text);
  for (size_t i = 0; i < out.output.size(); ++i) {
    GS_CHECK(count.count(out.output[i]), Value, "einsum", "the output of '", text,
             "' has a label that no operand has.");
    GS_CHECK(std::count(out.output.begin(), out.output.end(), out.output[i]) == 1, Value, "einsum",
             "the output of '", text, "' repeats a label.");
  }
  return out;
}

bool has(const Labels& labels, int label) {
  return std::find(labels.begin(), labels.end(), label) != labels.end();
}

// Repeated labels become a diagonal.
void take_diagonals(Tensor& t, Labels& labels) {
  for (size_t i = 0; i < labels.size(); ++i) {
    for (size_t j = i + 1; j < labels.size(); ++j) {
      if (labels[i] != labels[j]) continue;
      GS_CHECK(t.size(int64_t(i)) == t.size(int64_t(j)), Value, "einsum",
               "a repeated label has sizes ", t.size(int64_t(i)), " and ", t.size(int64_t(j)), ".");
      t = diagonal(t, 0, int64_t(i), int64_t(j));
      const int label = labels[i];
      labels.erase(labels.begin() + long(j));
      labels.erase(labels.begin() + long(i));
      labels.push_back(label);
      return take_diagonals(t, labels);
    }
  }
}

// Sums the labels that nothing else needs.
void sum_out(Tensor& t, Labels& labels, const Labels& needed) {
  Dims dims;
  Labels kept;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (has(needed, labels[i]))
      kept.push_back(labels[i]);
    else
      dims.push_back(int64_t(i));
  }
  if (!dims.empty()) t = sum(t, dims, false, std::nullopt);
  labels = kept;
}

// t with dimensions in the order of `order`; labels it lacks get size 1.
Tensor arranged(const Tensor& t, const Labels& labels, const Labels& order) {
  Dims dims;
  for (int label : order)
    if (has(labels, label))
      dims.push_back(std::find(labels.begin(), labels.end(), label) - labels.begin());
  Tensor y = permute(t, dims);
  for (size_t i = 0; i < order.size(); ++i)
    if (!has(labels, order[i])) y = unsqueeze(y, int64_t(i));
  return y;
}

int64_t size_of_label(const Tensor& t, const Labels& labels, int label) {
  const auto at = std::find(labels.begin(), labels.end(), label);
  return at == labels.end() ? 1 : t.size(at - labels.begin());
}

// One product of two operands: (batch, rows, summed) x (batch, summed, cols).
Tensor contract(const Tensor& a, const Labels& la, const Tensor& b, const Labels& lb,
                const Labels& needed, Labels* result) {
  Labels batch, rows, summed, cols;
  for (int label : la) {
    const bool shared = has(lb, label);
    (shared && !has(needed, label) ? summed : shared ? batch : rows).push_back(label);
  }
  for (int label : lb)
    if (!has(la, label)) cols.push_back(label);
  Shape shape_batch, shape;
  int64_t m = 1, k = 1, n = 1;
  for (int label : batch) {
    const int64_t x = size_of_label(a, la, label), y = size_of_label(b, lb, label);
    GS_CHECK(x == y || (label > kEllipsis && (x == 1 || y == 1)), Value, "einsum",
             "a label has sizes ", x, " and ", y, ".");
    shape_batch.push_back(std::max(x, y));
  }
  for (int label : summed) {
    const int64_t x = size_of_label(a, la, label), y = size_of_label(b, lb, label);
    GS_CHECK(x == y, Value, "einsum", "a label has sizes ", x, " and ", y, ".");
    k *= x;
  }
  shape = shape_batch;
  for (int label : rows) shape.push_back(size_of_label(a, la, label)), m *= shape.back();
  for (int label : cols) shape.push_back(size_of_label(b, lb, label)), n *= shape.back();
  const auto joined = [](Labels x, const Labels& y, const Labels& z) {
    x.insert(x.end(), y.begin(), y.end());
    x.insert(x.end(), z.begin(), z.end());
    return x;
  };
  const auto matrices = [&](const Tensor& t, const Labels& labels, const Labels& order, int64_t r,
                            int64_t c) {
    Tensor y = arranged(t, labels, order);
    Shape own;
    for (size_t i = 0; i < batch.size(); ++i) own.push_back(y.size(int64_t(i)));
    own.push_back(r);
    own.push_back(c);
    return reshape(y, own);
  };
  const Tensor product = matmul(matrices(a, la, joined(batch, rows, summed), m, k),
                                matrices(b, lb, joined(batch, summed, cols), k, n));
  *result = joined(batch, rows, cols);
  return reshape(product, shape);
}

}  // namespace

Tensor einsum(const std::string& equation, const Tensors& operands) {
  GS_CHECK(!operands.empty(), Value, "einsum", "expected at least one operand.");
  for (const Tensor& t : operands) check_defined("einsum", t, "every operand");
  Equation eq = parse(equation, operands);
  Tensor acc;
  Labels labels;
  for (size_t i = 0; i < operands.size(); ++i) {
    Labels later = eq.output;
    for (size_t j = i + 1; j < operands.size(); ++j)
      later.insert(later.end(), eq.operands[j].begin(), eq.operands[j].end());
    Tensor t = operands[i];
    Labels mine = eq.operands[i];
    take_diagonals(t, mine);
    Labels needed = later;
    needed.insert(needed.end(), labels.begin(), labels.end());
    sum_out(t, mine, needed);
    if (i == 0) {
      acc = t;
      labels = mine;
      continue;
    }
    Labels keep = later;
    keep.insert(keep.end(), mine.begin(), mine.end());
    sum_out(acc, labels, keep);
    Labels joint;
    acc = contract(acc, labels, t, mine, later, &joint);
    labels = joint;
  }
  sum_out(acc, labels, eq.output);
  return arranged(acc, labels, eq.output);
}

}  // namespace gs::ops
