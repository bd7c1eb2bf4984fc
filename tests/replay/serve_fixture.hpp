#pragma once
// A server in a thread of its own, an independent client (Beast's), and what a test wants of both.

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <functional>
#include <future>
#include <map>
#include <sstream>
#include <thread>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket.hpp>
#include <boost/beast/websocket/ssl.hpp>

#include "mdpipe/base/base64.hpp"
#include "replay/generate/generator.hpp"
#include "replay/serve/server.hpp"
#include "support.hpp"

namespace mdpipe::replay {

namespace asio = boost::asio;
namespace websocket = boost::beast::websocket;
using asio::ip::tcp;

/// serve() in a thread of its own.
class RunningServer {
 public:
  explicit RunningServer(ServeOptions options) : options_(std::move(options)) {
    options_.listen = "127.0.0.1:0";
    thread_ = std::thread([this] {
      report_ = serve(options_, [this](const std::string& served) { url_.set_value(served); });
      ended_ = true;
      if (!report_) {
        try {
          url_.set_value("");
        } catch (const std::future_error&) {  // it was up already
        }
      }
    });
    url = url_.get_future().get();
  }
  ~RunningServer() {
    if (thread_.joinable()) {
      if (!ended_) {
        ::kill(::getpid(), SIGTERM);  // the server listens for it
      }
      thread_.join();
    }
  }
  Result<ServeReport> wait() {
    thread_.join();
    return report_;
  }
  [[nodiscard]] std::string port() const { return url.substr(url.rfind(':') + 1); }

  std::string url;

 private:
  ServeOptions options_;
  std::promise<std::string> url_;
  std::atomic<bool> ended_{false};
  Result<ServeReport> report_;
  std::thread thread_;
};

/// What one client saw.
struct Seen {
  std::vector<std::string> frames;
  std::uint16_t close_code = 0;
  unsigned status = 0;  // of the handshake's answer where it was refused
};

using Symbols = std::vector<std::string>;

template <class Stream>
Seen talk(Stream& stream, const std::string& target, const Symbols& symbols,
          const std::function<bool(const std::string&)>& go_on) {
  Seen seen;
  boost::system::error_code error;
  websocket::response_type response;
  stream.handshake(response, "127.0.0.1", target, error);
  if (error) {
    seen.status = response.result_int();
    return seen;
  }
  for (const std::string& symbol : symbols) {
    stream.write(asio::buffer(R"({"type":"subscribe","symbol":)" + quote(symbol) + "}"));
  }
  while (true) {
    boost::beast::flat_buffer buffer;
    stream.read(buffer, error);
    if (error) {
      seen.close_code = stream.reason().code;
      return seen;
    }
    seen.frames.emplace_back(static_cast<const char*>(buffer.data().data()), buffer.size());
    if (go_on && !go_on(seen.frames.back())) {
      stream.close(websocket::close_reason(4001), error);
      seen.close_code = 4001;
      return seen;
    }
  }
}

inline Seen run_client(const RunningServer& server, const Symbols& symbols,
                       const std::function<bool(const std::string&)>& go_on = {},
                       const std::string& target = "/?token=any") {
  asio::io_context io;
  websocket::stream<tcp::socket, false> stream(io);
  stream.next_layer().connect(
      {asio::ip::make_address("127.0.0.1"), static_cast<std::uint16_t>(std::stoi(server.port()))});
  return talk(stream, target, symbols, go_on);
}

inline Seen run_tls_client(const RunningServer& server, const Symbols& symbols,
                           const std::filesystem::path& authority) {
  asio::io_context io;
  asio::ssl::context tls(asio::ssl::context::tls_client);
  tls.load_verify_file(authority.string());
  tls.set_verify_mode(asio::ssl::verify_peer);
  websocket::stream<asio::ssl::stream<tcp::socket>, false> stream(io, tls);
  stream.next_layer().next_layer().connect(
      {asio::ip::make_address("127.0.0.1"), static_cast<std::uint16_t>(std::stoi(server.port()))});
  stream.next_layer().handshake(asio::ssl::stream_base::client);
  return talk(stream, "/", symbols, {});
}

/// A certificate that signs itself, and its key.
inline void make_certificate(const std::filesystem::path& certificate_path, const std::filesystem::path& key_path) {
  EVP_PKEY* const key = ::EVP_EC_gen("P-256");
  X509* const certificate = ::X509_new();
  ::ASN1_INTEGER_set(::X509_get_serialNumber(certificate), 1);
  ::X509_gmtime_adj(::X509_getm_notBefore(certificate), -3600);
  ::X509_gmtime_adj(::X509_getm_notAfter(certificate), 3600);
  ::X509_set_pubkey(certificate, key);
  X509_NAME* const name = ::X509_get_subject_name(certificate);
  ::X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("127.0.0.1"), -1, -1,
                               0);
  ::X509_set_issuer_name(certificate, name);
  ::X509_sign(certificate, key, ::EVP_sha256());
  FILE* file = std::fopen(certificate_path.c_str(), "w");
  ::PEM_write_X509(file, certificate);
  std::fclose(file);
  file = std::fopen(key_path.c_str(), "w");
  ::PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
  std::fclose(file);
  ::X509_free(certificate);
  ::EVP_PKEY_free(key);
}

/// What a --log says of one connection.
struct Logged {
  std::vector<std::string> frames;
  std::vector<std::string> symbols;
  std::string closed;
};

inline std::map<int, Logged> read_log(const std::filesystem::path& path) {
  std::map<int, Logged> out;
  std::istringstream text(read_text(path));
  for (std::string line; std::getline(text, line);) {
    const auto behind = [&](const std::string& key) {
      const std::size_t at = line.find("\"" + key + "\":");
      return at == std::string::npos ? std::string() : line.substr(at + key.size() + 3);
    };
    Logged& logged = out[std::stoi(behind("connection"))];
    if (const std::string event = behind("event"); event.starts_with("\"frame\"")) {
      std::string frame = behind("event").substr(8);
      if (frame.starts_with("\"raw\":\"")) {
        frame = frame.substr(7);
        logged.frames.push_back(base64_decode(frame.substr(0, frame.find('"'))).value());
      } else {
        logged.frames.push_back(frame.substr(8, frame.size() - 9));  // between "frame": and the last brace
      }
    } else if (event.starts_with("\"subscribe\"")) {
      const std::string symbol = behind("symbol");
      logged.symbols.push_back(symbol.substr(1, symbol.size() - 3));
    } else if (event.starts_with("\"closed\"")) {
      logged.closed = behind("code");
    }
  }
  return out;
}

class Serve : public testing::Test {
 protected:
  Serve() {
    options_.pace = {Pace::Kind::max, 1, 0};
    options_.once = true;
    options_.log = folder_ / "log";
  }
  void use(const std::vector<std::string>& frames) {
    std::string text;
    for (const std::string& frame : frames) {
      text += frame + "\n";
    }
    options_.session.paths = {folder_.write("session", text)};
  }
  /// A made-up session with every oddity, and some bytes that are no JSON.
  void use_storm(std::uint64_t trades) {
    GenerateOptions generate;
    generate.trades = trades;
    const auto path = folder_ / "storm.zst";
    ASSERT_TRUE(write_session(generate, path));
    options_.session.paths = {path,
                              folder_.write("raw", R"({"recv_ns":1,"raw":")" + base64_encode("no\njson {") + "\"}\n")};
  }
  [[nodiscard]] Symbols all_symbols() const { return generated_symbols(12); }

  ScratchFolder folder_;
  ServeOptions options_;
};

}  // namespace mdpipe::replay
