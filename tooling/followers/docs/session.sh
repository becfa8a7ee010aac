# Read by bash before the `sh` blocks of a document.
set -E
trap 'echo "${BASH_SOURCE[0]}:$LINENO: failed: $BASH_COMMAND" >&2' ERR

# What `npm install` would fetch is installed already: it need only be what it claims to be.
npm() {
  if [ "$1" != install ]; then
    command npm "$@"
    return
  fi
  shift
  local name
  for name; do
    case $name in -*) continue ;; esac
    [ -e "$EXAMPLES/node_modules/$name/package.json" ] && continue
    echo "npm install $name: no package of that name is here" >&2
    return 1
  done
}
