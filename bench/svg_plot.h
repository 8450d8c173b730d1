#pragma once
// SvgPlot: one figure of series over two axes, linear or logarithmic, as a standalone SVG document.
// The same calls give the same bytes. Plain value; one thread.

#include <cstdint>
#include <string>
#include <vector>

#include "config/result.h"

namespace tq::bench {

enum class AxisScale : uint8_t { kLinear, kLog };

struct PlotAxis {
  std::string label;
  AxisScale scale = AxisScale::kLinear;
};

struct PlotPoint {
  double x = 0.0;
  double y = 0.0;
  double half_width = 0.0;  // of a confidence interval of y, drawn as a bar; 0: none
  std::string label{};      // written beside the marker; may be empty
};

enum class SeriesStyle : uint8_t { kLine, kDashed, kMarkers, kLineAndMarkers };

struct PlotSeries {
  std::string name;  // in the legend
  SeriesStyle style = SeriesStyle::kLineAndMarkers;
  std::vector<PlotPoint> points{};  // joined in this order
};

struct PlotOptions {
  std::string title;
  PlotAxis x;
  PlotAxis y;
};

class SvgPlot {
 public:
  explicit SvgPlot(PlotOptions options) : options_(std::move(options)) {}

  // Errors, where = name of the series: no points; a value that is not finite; one that is not
  // positive on a logarithmic axis.
  Result<void> add(PlotSeries series);
  // The document; at least one series was added.
  std::string render() const;

 private:
  PlotOptions options_;
  std::vector<PlotSeries> series_;
};

}  // namespace tq::bench
