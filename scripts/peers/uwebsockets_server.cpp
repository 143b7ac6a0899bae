// uWebSockets, broadcasting as documented: clients subscribe to a topic per symbol, and ticks are sent
// with `publish`. All messages to a client within one turn of the loop are sent in one write.
//
// Started and stopped like the Python peers, see ticks.py. Its timers have whole milliseconds, so
// all spread symbols that are due tick at the same beat.

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "App.h"

namespace {

using Clock = std::chrono::steady_clock;

constexpr int BACKLOG = 4096;

struct Ticker {
    std::string symbol, newest;
    long cents = 9'712'345, seq = 0;
};

// The symbols in a client's URL; empty means everything.
struct Client {
    std::string symbols;
};

uWS::App *app;
std::vector<Ticker> tickers;
std::unordered_map<std::string_view, Ticker *> by_symbol;
long interval_us, sent = 0, done = 0;
bool is_spread;
Clock::time_point began;

void next(Ticker &ticker) {
    static std::minstd_rand random;
    static std::uniform_int_distribution<long> step(-400, 400);
    const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
    const long now = std::chrono::duration_cast<std::chrono::microseconds>(since_epoch).count();
    sent = std::max(now, sent + 1);
    ticker.cents = std::max(ticker.cents + step(random), 100L);
    ticker.seq += 1;
    char json[256];
    const int length = std::snprintf(
        json, sizeof json,
        R"({"symbol":"%s","price":%ld.%02ld,"timestamp":%ld,"seq":%ld,"sent":%ld})",
        ticker.symbol.c_str(), ticker.cents / 100, ticker.cents % 100, now / 1000, ticker.seq, sent);
    ticker.newest.assign(json, length);
}

void publish_due(us_timer_t *) {
    const long count = tickers.size();
    const auto elapsed = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began);
    const long due = is_spread ? elapsed.count() * count / interval_us
                               : elapsed.count() / interval_us * count;
    // After a pause, each symbol ticks at most once.
    for (long turn = std::max(done, due - count); turn < due; ++turn) {
        Ticker &ticker = tickers[turn % count];
        next(ticker);
        app->publish(ticker.symbol, ticker.newest, uWS::OpCode::TEXT);
    }
    done = due;
}

void exit_with_stdin(us_timer_t *) {
    pollfd in{STDIN_FILENO, POLLIN, 0};
    char byte;
    if (poll(&in, 1, 0) > 0 && read(STDIN_FILENO, &byte, 1) <= 0) _exit(0);
}

void every(int ms, void (*callback)(us_timer_t *)) {
    us_timer_t *timer = us_create_timer((us_loop_t *)uWS::Loop::get(), 0, 0);
    us_timer_set(timer, callback, ms, ms);
}

template <typename Each>
void for_each_watched(const std::string &symbols, Each each) {
    if (symbols.empty()) {
        for (Ticker &ticker : tickers) each(ticker);
        return;
    }
    for (size_t at = 0; at <= symbols.size();) {
        const size_t end = std::min(symbols.find(',', at), symbols.size());
        const auto found = by_symbol.find(std::string_view(symbols).substr(at, end - at));
        if (found != by_symbol.end()) each(*found->second);
        at = end + 1;
    }
}

uWS::App::WebSocketBehavior<Client> behavior() {
    uWS::App::WebSocketBehavior<Client> behavior;
    behavior.upgrade = [](auto *response, auto *request, auto *context) {
        response->template upgrade<Client>(
            {std::string(request->getQuery("symbols"))}, request->getHeader("sec-websocket-key"),
            request->getHeader("sec-websocket-protocol"),
            request->getHeader("sec-websocket-extensions"), context);
    };
    behavior.open = [](auto *client) {
        for_each_watched(client->getUserData()->symbols, [client](Ticker &ticker) {
            client->send(ticker.newest, uWS::OpCode::TEXT);
            client->subscribe(ticker.symbol);
        });
    };
    return behavior;
}

void listening(us_listen_socket_t *listener) {
    if (!listener) {
        std::fprintf(stderr, "error: cannot listen on a port\n");
        std::exit(1);
    }
    // The library sets a backlog of 512.
    listen(us_poll_fd((us_poll_t *)listener), BACKLOG);
    const int port = us_socket_local_port(0, (us_socket_t *)listener);
    std::fprintf(stderr, "listening on 127.0.0.1:%d\n", port);
}

}  // namespace

int main(int argc, char **argv) {
    interval_us = argc > 1 ? std::atol(argv[1]) : 0;
    if (interval_us <= 0) {
        std::fprintf(stderr, "error: missing argument: expected the time between two ticks in us\n");
        return 1;
    }
    const long count = argc > 2 ? std::atol(argv[2]) : 0;
    is_spread = argc > 3 && !std::strcmp(argv[3], "spread");
    tickers.resize(std::max(count, 1L));
    for (size_t number = 0; number < tickers.size(); ++number) {
        char name[32];
        std::snprintf(name, sizeof name, "sim:S%04zu/USDT", number);
        tickers[number].symbol = count ? name : "sim:BTC/USDT";
        by_symbol[tickers[number].symbol] = &tickers[number];
        next(tickers[number]);
    }
    uWS::App made;
    app = &made;
    app->ws<Client>("/*", behavior()).listen("127.0.0.1", 0, listening);
    const long step_us = is_spread ? interval_us / long(tickers.size()) : interval_us;
    began = Clock::now();
    every(std::max(step_us / 1000, 1L), publish_due);
    every(200, exit_with_stdin);
    app->run();
}
