#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <csignal>
#include <filesystem>
#include <future>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mdpipe/base/clock.hpp"
#include "scripted_venue.hpp"
#include "transport.hpp"

namespace mdpipe::feed {
namespace {

using testing::AnyOf;
using testing::HasSubstr;

/// Certificate and key in one file, signed by itself, so that it is its own authority.
class Certificate {
 public:
  explicit Certificate(const char* names, long valid_from_s = -3600, long valid_until_s = 3600) {
    EVP_PKEY* const key = ::EVP_EC_gen("P-256");
    X509* const certificate = ::X509_new();
    ::X509_set_version(certificate, 2);
    ::ASN1_INTEGER_set(::X509_get_serialNumber(certificate), 1);
    ::X509_gmtime_adj(::X509_getm_notBefore(certificate), valid_from_s);
    ::X509_gmtime_adj(::X509_getm_notAfter(certificate), valid_until_s);
    ::X509_set_pubkey(certificate, key);
    X509_NAME* const name = ::X509_get_subject_name(certificate);
    ::X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("localhost"), -1, -1,
                                 0);
    ::X509_set_issuer_name(certificate, name);
    X509_EXTENSION* const extension = ::X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, names);
    ::X509_add_ext(certificate, extension, -1);
    ::X509_sign(certificate, key, ::EVP_sha256());
    path_ = testing::TempDir() + "mdpipe-tls-" + std::to_string(::getpid()) + ".pem";
    FILE* const file = std::fopen(path_.c_str(), "w");
    ::PEM_write_X509(file, certificate);
    ::PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
    std::fclose(file);
    ::X509_EXTENSION_free(extension);
    ::X509_free(certificate);
    ::EVP_PKEY_free(key);
  }
  ~Certificate() { std::filesystem::remove(path_); }
  Certificate(const Certificate&) = delete;
  Certificate& operator=(const Certificate&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// A server that greets whoever gets through the handshake. One connection.
class TlsVenue {
 public:
  explicit TlsVenue(const Certificate& certificate, int version_max = TLS1_3_VERSION)
      : context_(::SSL_CTX_new(::TLS_server_method())),
        venue_([this](VenueConnection& connection) { serve(connection); }) {
    ::SSL_CTX_set_security_level(context_.get(), 0);
    ::SSL_CTX_set_min_proto_version(context_.get(), TLS1_VERSION);
    ::SSL_CTX_set_max_proto_version(context_.get(), version_max);
    ::SSL_CTX_set_cipher_list(context_.get(), "ALL:@SECLEVEL=0");
    EXPECT_EQ(::SSL_CTX_use_certificate_file(context_.get(), certificate.path().c_str(), SSL_FILETYPE_PEM), 1);
    EXPECT_EQ(::SSL_CTX_use_PrivateKey_file(context_.get(), certificate.path().c_str(), SSL_FILETYPE_PEM), 1);
    ready_ = true;
  }
  TlsVenue(const TlsVenue&) = delete;
  TlsVenue& operator=(const TlsVenue&) = delete;

  [[nodiscard]] std::string port() const { return venue_.host_and_port().substr(std::string("127.0.0.1:").size()); }

  struct Agreed {
    std::string asked_for;  // by SNI
    std::string version;
  };
  Agreed agreed() { return agreed_.get_future().get(); }

 private:
  void serve(VenueConnection& connection) {
    sigset_t signals;
    ::sigfillset(&signals);
    ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // a client that refuses us is gone when we write
    eventually([&] { return ready_.load(); });
    SSL* const session = ::SSL_new(context_.get());
    ::SSL_set_fd(session, connection.descriptor());
    if (::SSL_accept(session) == 1) {
      const char* const name = ::SSL_get_servername(session, TLSEXT_NAMETYPE_host_name);
      agreed_.set_value({name == nullptr ? "" : name, ::SSL_get_version(session)});
      ::SSL_write(session, "hello", 5);
      ::SSL_shutdown(session);
    }
    ::SSL_free(session);
    ::ERR_clear_error();
  }

  std::atomic<bool> ready_{false};
  std::promise<Agreed> agreed_;
  struct ContextDeleter {
    void operator()(SSL_CTX* context) const { ::SSL_CTX_free(context); }
  };
  std::unique_ptr<SSL_CTX, ContextDeleter> context_;
  ScriptedVenue venue_;
};

Result<std::unique_ptr<Transport>> connect_to(const std::string& host, const std::string& port,
                                              const std::string& trusted) {
  Url url;
  url.tls = true;
  url.host = host;
  url.port = port;
  return connect(url, {trusted, monotonic_clock_ns() + 20 * kNanosecondsPerSecond, -1});
}

TEST(Tls, ReachesAVenueWhoseCertificateAndNameAreGood) {
  for (const std::string host : {"127.0.0.1", "localhost"}) {
    const Certificate certificate("IP:127.0.0.1,DNS:localhost");
    TlsVenue venue(certificate);
    auto transport = connect_to(host, venue.port(), certificate.path());
    ASSERT_TRUE(transport) << transport.error().message;
    char block[16];
    const std::int64_t deadline_ns = monotonic_clock_ns() + 20 * kNanosecondsPerSecond;
    const IoResult read = (*transport)->read_some(block, sizeof block, deadline_ns);
    EXPECT_EQ(std::string(block, read.bytes), "hello");
    EXPECT_EQ((*transport)->read_some(block, sizeof block, deadline_ns).status, IoStatus::closed);
    const TlsVenue::Agreed agreed = venue.agreed();
    EXPECT_EQ(agreed.asked_for, host == "localhost" ? "localhost" : "") << "SNI names hosts, never addresses";
    EXPECT_EQ(agreed.version, "TLSv1.3");
  }
}

TEST(Tls, RefusesACertificateThatItCannotTrustWithTheReason) {
  struct Case {
    const char* names;
    long from_s;
    long until_s;
    const char* host;
    const char* why;
  };
  for (const Case& one : {Case{"DNS:elsewhere.test", -3600, 3600, "localhost", "mismatch"},
                          Case{"DNS:localhost", -3600, 3600, "127.0.0.1", "mismatch"},
                          Case{"DNS:local*", -3600, 3600, "localhost", "mismatch"},
                          Case{"DNS:localhost", -7200, -3600, "localhost", "expired"},
                          Case{"DNS:localhost", 3600, 7200, "localhost", "not yet valid"}}) {
    const Certificate certificate(one.names, one.from_s, one.until_s);
    TlsVenue venue(certificate);
    const auto transport = connect_to(one.host, venue.port(), certificate.path());
    ASSERT_FALSE(transport) << one.why;
    EXPECT_THAT(transport.error().message, HasSubstr(one.why));
    EXPECT_THAT(transport.error().message, HasSubstr("certificate"));
  }
}

TEST(Tls, TrustsNobodyWhomTheSystemDoesNotKnowWithoutACaFile) {
  const Certificate certificate("IP:127.0.0.1");
  TlsVenue venue(certificate);
  const auto transport = connect_to("127.0.0.1", venue.port(), "");
  ASSERT_FALSE(transport);
  EXPECT_THAT(transport.error().message, HasSubstr("self"));
}

TEST(Tls, SpeaksNothingOlderThan12) {
  const Certificate certificate("IP:127.0.0.1");
  for (const int version : {TLS1_VERSION, TLS1_1_VERSION}) {
    TlsVenue venue(certificate, version);
    EXPECT_FALSE(connect_to("127.0.0.1", venue.port(), certificate.path()));
  }
  TlsVenue venue(certificate, TLS1_2_VERSION);
  EXPECT_TRUE(connect_to("127.0.0.1", venue.port(), certificate.path()));
}

TEST(Tls, SaysSoWhereTheHandshakeIsCutOrSpokenPlainOrNeverAnswered) {
  const Certificate certificate("IP:127.0.0.1");
  {
    ScriptedVenue cut([](VenueConnection&) {});
    const auto transport = connect_to("127.0.0.1", cut.host_and_port().substr(10), certificate.path());
    ASSERT_FALSE(transport);
    EXPECT_THAT(transport.error().message, AnyOf(HasSubstr("eof"), HasSubstr("reset"), HasSubstr("closed")));
  }
  {
    ScriptedVenue plain([](VenueConnection& connection) {
      connection.send("HTTP/1.1 400 Bad Request\r\n\r\n");
      connection.wait_gone();
    });
    const auto transport = connect_to("127.0.0.1", plain.host_and_port().substr(10), certificate.path());
    ASSERT_FALSE(transport);
    EXPECT_THAT(transport.error().message, HasSubstr("wrong version number"));
  }
  {
    ScriptedVenue mute([](VenueConnection& connection) { connection.read_request(); });
    Url url;
    url.tls = true;
    url.host = "127.0.0.1";
    url.port = mute.host_and_port().substr(10);
    const auto transport =
        connect(url, {certificate.path(), monotonic_clock_ns() + 20 * kNanosecondsPerMillisecond, -1});
    ASSERT_FALSE(transport);
    EXPECT_THAT(transport.error().message, HasSubstr("no TLS handshake in time"));
  }
}

TEST(Tls, NamesACaFileThatHoldsNoCertificates) {
  const std::string path = testing::TempDir() + "mdpipe-no-certificates.pem";
  std::fclose(std::fopen(path.c_str(), "w"));
  ScriptedVenue venue([](VenueConnection& connection) { connection.wait_gone(); });
  const auto transport = connect_to("127.0.0.1", venue.host_and_port().substr(10), path);
  std::filesystem::remove(path);
  ASSERT_FALSE(transport);
  EXPECT_THAT(transport.error().message, HasSubstr(path));
}

TEST(Transport, SaysThatNobodyListens) {
  std::string port;
  {
    ScriptedVenue gone([](VenueConnection&) {});
    port = gone.host_and_port().substr(10);
  }
  Url url;
  url.host = "127.0.0.1";
  url.port = port;
  const auto transport = connect(url, {"", monotonic_clock_ns() + 20 * kNanosecondsPerSecond, -1});
  ASSERT_FALSE(transport);
  EXPECT_EQ(transport.error().code, ErrorCode::environment);
  EXPECT_THAT(transport.error().message, HasSubstr("127.0.0.1:" + port + ": connecting: Connection refused"));
}

}  // namespace
}  // namespace mdpipe::feed
