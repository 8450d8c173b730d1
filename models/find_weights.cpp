#include "models/find_weights.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace tq::models {
namespace {

Result<WeightView> find_weight(const WeightSource& source, const std::string& name) {
  auto found = source.find(name);
  if (!found) return Error{Code::kCorrupt, "no tensor '" + name + "'", source.path()};
  return *std::move(found);
}

}  // namespace

Result<std::vector<WeightView>> find_matrices(const WeightSource& source,
                                              const std::vector<std::string>& stems,
                                              int64_t n_inputs) {
  std::vector<WeightView> views;
  for (const std::string& stem : stems) {
    TQ_ASSIGN(WeightView view, find_weight(source, stem + ".weight"));
    if (view.shape.size() != 2 || view.shape[1] != n_inputs) {
      return Error{
          Code::kCorrupt,
          "tensor '" + view.name + "' is no matrix with " + std::to_string(n_inputs) + " columns",
          source.path()};
    }
    views.push_back(std::move(view));
  }
  return views;
}

Result<std::vector<float>> load_vector(const WeightSource& source,
                                       const std::string& name,
                                       int64_t size) {
  TQ_ASSIGN(const WeightView view, find_weight(source, name));
  if (view.n_elements() != size) {
    return Error{Code::kCorrupt,
                 "tensor '" + name + "' has " + std::to_string(view.n_elements()) +
                     " elements, expected " + std::to_string(size),
                 source.path()};
  }
  std::vector<float> values(static_cast<size_t>(size));
  TQ_TRY(dequantize(view, 0, values));
  return values;
}

Result<std::vector<float>> load_biases(const WeightSource& source,
                                       const std::vector<std::string>& stems,
                                       const std::vector<WeightView>& matrices) {
  std::vector<float> bias;
  for (size_t i = 0; i < stems.size(); ++i) {
    TQ_ASSIGN(const auto part, load_vector(source, stems[i] + ".bias", matrices[i].shape[0]));
    bias.insert(bias.end(), part.begin(), part.end());
  }
  return bias;
}

float largest_magnitude(std::span<const float> values) {
  float largest = 0.0f;
  for (const float value : values) largest = std::max(largest, std::abs(value));
  return largest;
}

}  // namespace tq::models
