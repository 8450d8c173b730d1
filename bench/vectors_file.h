#pragma once
// Vectors from a file that another program wrote, so that both measure the same data: .npy
// (float32, little-endian, C order, two dimensions) or raw float32 rows. Any thread.

#include <string>
#include <vector>

#include "config/result.h"

namespace tq::bench {

struct Vectors {
  int dim = 0;
  std::vector<float> values;  // [n, dim]

  int n_rows() const { return static_cast<int>(values.size() / static_cast<size_t>(dim)); }
};

// A file that starts as .npy does is read as one, and dim must be 0 or its second size; any other
// is raw and needs a dim. Errors, where = path: not readable; another type, order or shape; a size
// that does not fit; no rows, or over a million; NaN, infinity or a row of zeros.
Result<Vectors> read_vectors(const std::string& path, int dim);

}  // namespace tq::bench
