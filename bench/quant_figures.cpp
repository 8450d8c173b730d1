#include <cmath>
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <system_error>
#include <utility>

#include "bench/quant_report.h"
#include "bench/results.h"
#include "bench/svg_plot.h"

namespace tq::bench {
namespace {

using Value = std::function<double(const AccuracyRow&)>;

struct Curve {
  std::string quantiser;
  int dim = 0;
};

// A value of one quantiser in one dimension, over the bits.
PlotSeries series_of(const QuantTables& tables,
                     const Curve& curve,
                     std::string name,
                     SeriesStyle style,
                     const Value& value,
                     const Value& half_width) {
  PlotSeries series{.name = std::move(name), .style = style};
  for (const AccuracyRow& row : tables.accuracy) {
    if (row.quantiser != curve.quantiser || row.dim != curve.dim) continue;
    series.points.push_back({.x = static_cast<double>(row.bits),
                             .y = value(row),
                             .half_width = half_width ? half_width(row) : 0.0});
  }
  return series;
}

double lower(const AccuracyRow& row) { return lower_bound(row.bits); }

Result<SvgPlot> distortion(const QuantTables& tables, const std::set<int>& dims) {
  SvgPlot plot({.title = "Distortion of Algorithm 1",
                .x = {.label = "bits"},
                .y = {.label = "E |x - x~|² / |x|²", .scale = AxisScale::kLog}});
  const Curve last{"mse plain", *dims.rbegin()};
  const auto add = [&](std::string name, SeriesStyle style, const Value& value) {
    return plot.add(series_of(tables, last, std::move(name), style, value, nullptr));
  };
  TQ_TRY(add("Theorem 1, upper bound", SeriesStyle::kDashed,
             [](const AccuracyRow& row) { return row.mse_bound; }));
  TQ_TRY(add("exact, d = " + std::to_string(last.dim), SeriesStyle::kLine,
             [](const AccuracyRow& row) { return row.mse_theory; }));
  TQ_TRY(add("Theorem 3, lower bound", SeriesStyle::kDashed, lower));
  for (const int dim : dims) {
    TQ_TRY(plot.add(series_of(
        tables, {"mse plain", dim}, "measured, d = " + std::to_string(dim), SeriesStyle::kMarkers,
        [](const AccuracyRow& row) { return row.mse.mean; },
        [](const AccuracyRow& row) { return row.mse.half_width; })));
  }
  return plot;
}

Result<SvgPlot> inner_product(const QuantTables& tables, const std::set<int>& dims) {
  SvgPlot plot({.title = "Inner products of unit vectors",
                .x = {.label = "bits"},
                .y = {.label = "d · E (<q, x~> - <q, x>)²", .scale = AxisScale::kLog}});
  const int last = *dims.rbegin();
  const auto add = [&](const char* quantiser, std::string name, SeriesStyle style,
                       const Value& value) {
    return plot.add(series_of(tables, {quantiser, last}, std::move(name), style, value, nullptr));
  };
  TQ_TRY(add("ip", "Theorem 2, upper bound", SeriesStyle::kDashed,
             [](const AccuracyRow& row) { return row.error_bound; }));
  TQ_TRY(add("ip", "Algorithm 2: π/2 D(b-1)", SeriesStyle::kLine,
             [](const AccuracyRow& row) { return row.error_theory; }));
  TQ_TRY(add("ip", "Theorem 3, lower bound", SeriesStyle::kDashed, lower));
  const Value value = [](const AccuracyRow& row) { return row.error_square.mean; };
  const Value half_width = [](const AccuracyRow& row) { return row.error_square.half_width; };
  TQ_TRY(plot.add(series_of(tables, {"mse unbiased", last},
                            "unbiased scale, d = " + std::to_string(last),
                            SeriesStyle::kLineAndMarkers, value, half_width)));
  for (const int dim : dims) {
    TQ_TRY(plot.add(series_of(tables, {"ip", dim}, "Algorithm 2, d = " + std::to_string(dim),
                              SeriesStyle::kMarkers, value, half_width)));
  }
  return plot;
}

Result<SvgPlot> bias(const QuantTables& tables, const std::set<int>& dims) {
  SvgPlot plot({.title = "Bias of inner products",
                .x = {.label = "bits"},
                .y = {.label = "slope of <q, x~> on <q, x>"}});
  const int last = *dims.rbegin();
  TQ_TRY(plot.add(series_of(
      tables, {"mse plain", last}, "Algorithm 1: 1 - D(b)", SeriesStyle::kLine,
      [](const AccuracyRow& row) { return row.slope_theory; }, nullptr)));
  const std::pair<const char*, const char*> measured[] = {{"mse plain", "Algorithm 1"},
                                                          {"mse matched", "matched norm"},
                                                          {"mse unbiased", "unbiased scale"},
                                                          {"ip", "Algorithm 2"}};
  for (const auto& [quantiser, name] : measured) {
    TQ_TRY(plot.add(series_of(
        tables, {quantiser, last}, std::string(name) + ", d = " + std::to_string(last),
        SeriesStyle::kMarkers, [](const AccuracyRow& row) { return row.slope.mean; },
        [](const AccuracyRow& row) { return row.slope.half_width; })));
  }
  return plot;
}

}  // namespace

Result<void> write_figures(const QuantTables& tables, const std::string& folder) {
  std::set<int> dims;
  for (const AccuracyRow& row : tables.accuracy) dims.insert(row.dim);
  if (dims.empty()) return Error{Code::kInvalidArgument, "figures need the accuracy", "--svg"};
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) return Error{Code::kIo, "cannot make '" + folder + "'", "--svg"};
  TQ_ASSIGN(const SvgPlot first, distortion(tables, dims));
  TQ_TRY(write_file(folder + "/distortion.svg", first.render(), "--svg"));
  TQ_ASSIGN(const SvgPlot second, inner_product(tables, dims));
  TQ_TRY(write_file(folder + "/inner_product.svg", second.render(), "--svg"));
  TQ_ASSIGN(const SvgPlot third, bias(tables, dims));
  return write_file(folder + "/bias.svg", third.render(), "--svg");
}

}  // namespace tq::bench
