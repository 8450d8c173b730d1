#include "bench/results.h"

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "bench/machine.h"
#include "config/check.h"

namespace tq::bench {

double quantile(std::vector<double> values, double share) {
  TQ_CHECK(!values.empty() && share >= 0 && share <= 1, "quantile of nothing", values.size());
  const auto rank = static_cast<size_t>(std::ceil(share * static_cast<double>(values.size())));
  const auto place = values.begin() + static_cast<ptrdiff_t>(std::max<size_t>(rank, 1) - 1);
  std::nth_element(values.begin(), place, values.end());
  return *place;
}

Result<void> write_file(const std::string& path, const std::string& text, const char* flag) {
  if (path.empty()) return {};
  std::ofstream file(path);
  file << text;
  if (!file.flush()) return Error{Code::kIo, "cannot write '" + path + "'", flag};
  return {};
}

Result<void> write_json(const std::string& path, nlohmann::json document, uint64_t seed) {
  document["machine"] = machine();
  document["commit"] = commit();
  document["compiler"] = compiler();
  document["seed"] = seed;
  return write_file(path, document.dump(1) + '\n', "--json");
}

std::string format(const char* pattern, ...) {
  char text[512];
  va_list values;
  va_start(values, pattern);
  const int size = std::vsnprintf(text, sizeof text, pattern, values);
  va_end(values);
  TQ_CHECK(size >= 0 && static_cast<size_t>(size) < sizeof text, "a longer line", size);
  return text;
}

int fail(const Error& error) {
  std::fprintf(stderr, "%s\n", error.describe().c_str());
  return 1;
}

}  // namespace tq::bench
