// The scripts that put `sampan __complete` behind the shells' completion. They know no command and
// no flag, so they never grow old.
#include "base/error.h"
#include "cli/completion.h"

namespace cli {
namespace {

constexpr std::string_view kBash = R"script(# Completion for bash; made by "sampan completion bash".
_sampan() {
  local line=${COMP_LINE:0:COMP_POINT} words=() piece rest i
  # Bash splits words at = and : as well: what stands together is one word of the command line.
  for ((i = 0; i <= COMP_CWORD; ++i)); do
    piece=${COMP_WORDS[i]}
    rest=${line#"${line%%[![:blank:]]*}"}
    [[ $rest == "$piece"* ]] || piece=$rest
    if ((i > 0)) && [[ $rest == "$line" ]]; then words[-1]+=$piece; else words+=("$piece"); fi
    line=${rest#"$piece"}
  done
  local lines=()
  mapfile -t lines < <("${words[0]/#\~/$HOME}" __complete "${words[@]:1}" 2> /dev/null)
  ((${#lines[@]} > 0)) || return
  local directive=${lines[-1]} current=${words[-1]} breaks
  unset 'lines[-1]'
  # What it puts into the line stands for what is behind the last of these only.
  breaks=${COMP_WORDBREAKS//[^=:]/}
  local typed=$current
  [[ -z $breaks ]] || typed=${current##*[$breaks]}
  local before=${current%"$typed"} one
  COMPREPLY=()
  for one in "${lines[@]}"; do
    one=${one%%$'\t'*}
    COMPREPLY+=("${one#"$before"}")
  done
  case $directive in
    *files*) mapfile -t lines < <(compgen -f -- "$typed") ;;
    *directories*) mapfile -t lines < <(compgen -d -- "$typed") ;;
    *) lines=() ;;
  esac
  if ((${#COMPREPLY[@]} == 0)); then
    compopt -o filenames
    COMPREPLY=("${lines[@]}")
  else
    for one in "${lines[@]}"; do
      [[ ! -d $one ]] || one+=/
      COMPREPLY+=("$one")
    done
  fi
  [[ $directive != *nospace* ]] || compopt -o nospace
}
complete -F _sampan sampan
)script";

constexpr std::string_view kZsh = R"script(#compdef sampan
# Completion for zsh; made by "sampan completion zsh".
_sampan() {
  local -a lines items options
  local line word text directive found=1
  lines=("${(@f)$("${(Q)words[1]/#\~/$HOME}" __complete "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2> /dev/null)}")
  [[ $lines[-1] == :* ]] || return 1
  directive=$lines[-1]
  lines[-1]=()
  for line in $lines; do
    word=${line%%$'\t'*}
    text=
    [[ $line != *$'\t'* ]] || text=${line#*$'\t'}
    items+=("${word//:/\\:}${text:+:$text}")
  done
  [[ $directive != *nospace* ]] || options=(-S '')
  if (( $#items )); then _describe -V sampan items "${(@)options}" && found=0; fi
  if [[ $directive == *(files|directories)* ]]; then
    compset -P '--*='
    if [[ $directive == *files* ]]; then _files && found=0; else _files -/ && found=0; fi
  fi
  return found
}
if [[ $funcstack[1] == _sampan ]]; then _sampan "$@"; else compdef _sampan sampan; fi
)script";

constexpr std::string_view kFish = R"script(# Completion for fish; made by "sampan completion fish".
function __sampan_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l lines ($words[1] __complete $words[2..-1] "$current" 2> /dev/null)
    test (count $lines) -gt 0; or return
    set -l directive $lines[-1]
    set -e lines[-1]
    for line in $lines
        echo $line
    end
    set -l flag (string match -r '^--[^=]*=' -- "$current")
    set -l path (string replace -r '^--[^=]*=' '' -- "$current")
    if string match -q '*files*' -- $directive
        for one in (__fish_complete_path "$path")
            echo "$flag$one"
        end
    else if string match -q '*directories*' -- $directive
        for one in (__fish_complete_directories "$path" '')
            echo "$flag$one"
        end
    end
end
complete -c sampan -e
complete -k -c sampan -f -a '(__sampan_complete)'
)script";

}  // namespace

std::string_view completion_script(std::string_view shell) {
  if (shell == "bash") return kBash;
  if (shell == "zsh") return kZsh;
  if (shell == "fish") return kFish;
  throw base::Error(base::ErrorKind::kInvalid, "no completion for \"" + std::string(shell) +
                                                   "\": there is bash, zsh and fish");
}

}  // namespace cli
