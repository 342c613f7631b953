// Where things go: each of `rows` rows of n counts becomes the sums of those before it; totals
// (rows values, may be null) receives the sum of each row.
#pragma once

#include <cstdint>

namespace gs::cuda {

void scan_counts(int64_t* counts, int64_t rows, int64_t n, int64_t* totals);

}  // namespace gs::cuda
