// The command line of a model: options by name, one search, one verdict as the last line of the output.
// Options of every model: must_end=0 (do not look whether every state can end), only=P7 (the violations
// looked for).
//
//   ./relay pages=each_its_own_snapshot owners=1 must_end=0
//
// Output: the trace of a violation, one step a line, then "holds|fails|incomplete states=… transitions=…
// reason".
#pragma once

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>

#include "search.hpp"

namespace search {

// Returns formatted text, as printf prints it.
[[gnu::format(printf, 1, 2)]] inline std::string text(const char* format, ...) {
    char buffer[320];
    std::va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(buffer, sizeof buffer, format, arguments);
    va_end(arguments);
    return buffer;
}

// Sets options of a model from arguments of the form name, or name=value.
class CommandLine {
public:
    CommandLine& flag(const std::string& name, bool& target) {
        setters_[name] = [&target](const std::string& value) { target = value != "0"; };
        return *this;
    }
    CommandLine& number(const std::string& name, int& target) {
        setters_[name] = [&target](const std::string& value) { target = std::stoi(value); };
        return *this;
    }
    CommandLine& words(const std::string& name, std::string& target) {
        setters_[name] = [&target](const std::string& value) { target = value; };
        return *this;
    }
    template <class Choice>
    CommandLine& choice(const std::string& name, Choice& target, std::map<std::string, Choice> choices) {
        setters_[name] = [&target, choices](const std::string& value) { target = choices.at(value); };
        return *this;
    }

    void read(int count, char** arguments) const {
        for (int i = 1; i < count; ++i) {
            const std::string argument = arguments[i];
            const auto equals = argument.find('=');
            const auto setter = setters_.find(argument.substr(0, equals));
            if (setter == setters_.end()) throw std::invalid_argument("there is no option " + argument);
            setter->second(equals == std::string::npos ? "1" : argument.substr(equals + 1));
        }
    }

private:
    std::map<std::string, std::function<void(const std::string&)>> setters_;
};

inline void print(const Verdict& verdict) {
    for (std::size_t i = 0; i < verdict.trace.size(); ++i)
        std::printf("%3zu. %s\n", i + 1, verdict.trace[i].c_str());
    static const std::map<Verdict::Kind, const char*> words{{Verdict::Kind::HOLDS, "holds"},
                                                            {Verdict::Kind::FAILS, "fails"},
                                                            {Verdict::Kind::INCOMPLETE, "incomplete"}};
    std::printf("%s states=%llu transitions=%llu %s\n", words.at(verdict.kind),
                static_cast<unsigned long long>(verdict.states),
                static_cast<unsigned long long>(verdict.transitions), verdict.reason.c_str());
}

// Returns the exit code: 0 when a verdict was reached, 2 when an option is wrong.
template <class Model, class Options>
int run(CommandLine line, const Options& options, int count, char** arguments) {
    Limits limits;
    line.flag("must_end", limits.must_end).words("only", limits.only);
    try {
        line.read(count, arguments);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 2;
    }
    const Model model(options);
    print(Search<Model>(model, limits).run());
    return 0;
}

}  // namespace search
