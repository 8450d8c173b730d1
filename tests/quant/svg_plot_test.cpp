// The figures of turboquant-bench. What a whole figure holds is tested by bench_quant_test.py, with
// an XML parser; here what a caller can get wrong, and where values land.

#include "bench/svg_plot.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <regex>
#include <string>
#include <vector>

using namespace tq::bench;

namespace {

PlotOptions options(AxisScale x, AxisScale y) {
  return {
      .title = "a < b & \"c\"", .x = {.label = "x", .scale = x}, .y = {.label = "y", .scale = y}};
}

PlotSeries series(std::vector<PlotPoint> points) {
  return {.name = "s", .style = SeriesStyle::kLine, .points = std::move(points)};
}

// The places of the only line of a document.
std::vector<std::pair<double, double>> places(const std::string& svg) {
  std::smatch found;
  REQUIRE(std::regex_search(svg, found, std::regex("<polyline points=\"([^\"]*)\"")));
  const std::string points = found[1];
  const std::regex pair("([-0-9.]+),([-0-9.]+)");
  std::vector<std::pair<double, double>> result;
  for (std::sregex_iterator i(points.begin(), points.end(), pair), end; i != end; ++i) {
    result.emplace_back(std::stod((*i)[1]), std::stod((*i)[2]));
  }
  return result;
}

}  // namespace

TEST_CASE("equal ratios are equal distances on a logarithmic axis", "[svg_plot]") {
  for (const AxisScale scale : {AxisScale::kLinear, AxisScale::kLog}) {
    SvgPlot plot(options(AxisScale::kLinear, scale));
    REQUIRE(plot.add(series({{.x = 1, .y = 0.001}, {.x = 2, .y = 0.1}, {.x = 3, .y = 10}})).ok());
    const auto at = places(plot.render());
    REQUIRE(at.size() == 3);
    // Places are rounded to hundredths, so differences to two of them.
    CHECK(std::abs((at[1].first - at[0].first) - (at[2].first - at[1].first)) <= 0.0201);
    const double lower = at[0].second - at[1].second;  // y grows downwards on the page
    const double upper = at[1].second - at[2].second;
    CHECK(lower > 0.0);
    if (scale == AxisScale::kLog) CHECK(std::abs(lower - upper) <= 0.0201);
    if (scale == AxisScale::kLinear) CHECK(std::abs(lower * 100.0 - upper) <= 100 * 0.0201);
    CHECK(plot.render() == plot.render());
  }
}

TEST_CASE("text is escaped, and a single point still has axes", "[svg_plot]") {
  for (const AxisScale scale : {AxisScale::kLinear, AxisScale::kLog}) {
    SvgPlot plot(options(scale, scale));
    // The bar reaches below zero, where a logarithmic axis ends.
    REQUIRE(plot.add({.name = "<&>\x01",
                      .style = SeriesStyle::kMarkers,
                      .points = {{.x = 4, .y = 0.5, .half_width = 1, .label = "4 & 5"}}})
                .ok());
    const std::string svg = plot.render();
    CHECK(svg.find("a &lt; b &amp; &quot;c&quot;") != std::string::npos);
    CHECK(svg.find("&lt;&amp;&gt; ") != std::string::npos);
    CHECK(svg.find("4 &amp; 5") != std::string::npos);
    CHECK(svg.find("nan") == std::string::npos);
    CHECK(svg.find("inf") == std::string::npos);
  }
}

TEST_CASE("points that no axis can show are refused by series", "[svg_plot]") {
  SvgPlot linear(options(AxisScale::kLinear, AxisScale::kLinear));
  CHECK(linear.add(series({})).error().where == "s");
  CHECK(!linear.add(series({{.x = std::numeric_limits<double>::quiet_NaN()}})).ok());
  CHECK(!linear.add(series({{.y = std::numeric_limits<double>::infinity()}})).ok());
  CHECK(linear.add(series({{.x = -1, .y = 0}})).ok());
  SvgPlot log_y(options(AxisScale::kLinear, AxisScale::kLog));
  CHECK(!log_y.add(series({{.x = 1, .y = 0}})).ok());
  CHECK(log_y.add(series({{.x = 0, .y = 1e-300}})).ok());
  SvgPlot log_x(options(AxisScale::kLog, AxisScale::kLinear));
  CHECK(!log_x.add(series({{.x = -1, .y = 1}})).ok());
}
