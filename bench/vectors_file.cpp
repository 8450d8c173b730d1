#include "bench/vectors_file.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <regex>
#include <string_view>
#include <system_error>
#include <utility>

namespace tq::bench {
namespace {

constexpr std::string_view kMagic("\x93NUMPY", 6);
constexpr size_t kRowsMax = 1'000'000;
constexpr size_t kFileBytesMax = size_t{4} << 30;

struct Body {
  size_t offset = 0;
  size_t n_rows = 0;
  size_t dim = 0;
};

Error bad(const std::string& path, std::string why) {
  return {Code::kInvalidArgument, std::move(why), path};
}

// The header of numpy's format: magic, version, length of a Python dict literal, the dict.
Result<Body> read_npy_header(const std::string& path, std::string_view file) {
  if (file.size() < 12) return bad(path, "the .npy header is cut short");
  const auto byte = [&](size_t i) { return size_t{static_cast<unsigned char>(file[i])}; };
  const size_t version = byte(6);
  if (version < 1 || version > 3) return bad(path, "unknown .npy version; 1 to 3 are read");
  size_t length = byte(8) | byte(9) << 8;
  if (version > 1) length |= byte(10) << 16 | byte(11) << 24;
  const size_t start = version > 1 ? 12 : 10;
  if (length > file.size() - start || length > 65'536) {
    return bad(path, "the .npy header is cut short");
  }
  const std::string dict(file.substr(start, length));
  static const std::regex descr(R"('descr'\s*:\s*'([^']*)')");
  static const std::regex order(R"('fortran_order'\s*:\s*(True|False))");
  static const std::regex shape(R"('shape'\s*:\s*\(\s*(\d{1,9})\s*,\s*(\d{1,9})\s*,?\s*\))");
  std::smatch found;
  if (!std::regex_search(dict, found, descr) || found[1] != "<f4") {
    return bad(path, "the .npy file must hold little-endian float32 ('<f4')");
  }
  if (!std::regex_search(dict, found, order) || found[1] != "False") {
    return bad(path, "the .npy file must be in C order");
  }
  if (!std::regex_search(dict, found, shape)) {
    return bad(path, "the .npy file must have two dimensions, [vectors, dim]");
  }
  return Body{start + length, std::stoul(found[1]), std::stoul(found[2])};
}

Result<void> check_rows(const std::string& path, const Vectors& vectors) {
  const auto dim = static_cast<size_t>(vectors.dim);
  for (size_t start = 0; start < vectors.values.size(); start += dim) {
    double square = 0.0;
    for (size_t j = start; j < start + dim; ++j) {
      square += static_cast<double>(vectors.values[j]) * vectors.values[j];
    }
    if (std::isfinite(square) && square > 0.0) continue;
    return bad(path, "vector " + std::to_string(start / dim) +
                         (square == 0.0 ? " is zero" : " holds NaN or infinity"));
  }
  return {};
}

}  // namespace

Result<Vectors> read_vectors(const std::string& path, int dim) {
  static_assert(std::endian::native == std::endian::little);
  const Error unreadable{Code::kIo, "cannot read the vectors", path};
  std::error_code failed;
  if (!std::filesystem::is_regular_file(path, failed)) return unreadable;
  const auto size = std::filesystem::file_size(path, failed);
  if (failed) return unreadable;
  if (size > kFileBytesMax) return bad(path, "the file is over 4 GiB");
  std::string file(size, '\0');
  std::ifstream stream(path, std::ios::binary);
  if (!stream.read(file.data(), static_cast<std::streamsize>(size))) return unreadable;

  Body body;
  if (file.starts_with(kMagic)) {
    TQ_ASSIGN(body, read_npy_header(path, file));
    if (dim != 0 && body.dim != static_cast<size_t>(dim)) {
      return bad(path, "its vectors have " + std::to_string(body.dim) + " values, --dim says " +
                           std::to_string(dim));
    }
  } else {
    if (dim == 0) return bad(path, "raw float32 vectors need one --dim");
    body.dim = static_cast<size_t>(dim);
    body.n_rows = file.size() / (body.dim * sizeof(float));
  }
  if (body.dim < 2 || body.dim > 4096) return bad(path, "vectors have 2 to 4096 values");
  if (body.n_rows < 1 || body.n_rows > kRowsMax) {
    return bad(path, "there must be 1 to 1000000 vectors");
  }
  const size_t n_bytes = body.n_rows * body.dim * sizeof(float);
  if (file.size() - body.offset != n_bytes) {
    return bad(path, "the file holds " + std::to_string(file.size() - body.offset) +
                         " bytes of values, its vectors take " + std::to_string(n_bytes));
  }
  Vectors vectors{.dim = static_cast<int>(body.dim), .values = {}};
  vectors.values.resize(body.n_rows * body.dim);
  std::memcpy(vectors.values.data(), file.data() + body.offset, n_bytes);
  TQ_TRY(check_rows(path, vectors));
  return vectors;
}

}  // namespace tq::bench
