#pragma once
// Short names of Boost.Asio and Boost.Beast, and the two things that every coroutine here does with
// them: look at the error code, and set a deadline. Included by .cpp files of this folder and by
// headers of connections only.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>

namespace tq::server {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

// co_await x(kTuple) gives (error_code, ...) instead of throwing.
inline constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

}  // namespace tq::server
