#!/bin/sh
# Starts a service in a container of its own, without an engine: a root folder made of copies, and its own PID, mount, user and
# control group namespaces. Needs root, unshare (util-linux), ldd, and a network for two packages of PyPI.
#   sh examples/hunts/container.sh FOLDER            the root folder is made there
#   FIXED=1 sh examples/hunts/container.sh FOLDER    the same service, mended
# PYTHON names another interpreter than python3, of the same release. The number of the service here is what "exuvia" lists; Ctrl-C ends it.
set -e
here=$(cd "$(dirname "$0")" && pwd)
box=$here/../../crates/testbed/python/box.py
root=$(realpath -m "${1:?a folder for the root}")
python=${PYTHON:-$(python3 -c "import sys; print(sys.executable)")}
if [ ! -d "$root/site" ]; then
    mkdir -p "$root/tmp"
    python3 "$box" copy "$root" "$python" > /dev/null
    python3 -m pip install --quiet --target "$root/site" flask gunicorn
fi
cp "$here/invoices.py" "$root/site"
exec env PYTHONPATH=/site unshare --user --map-root-user --pid --fork --kill-child --mount --cgroup \
    "$python" "$box" --bind /dev:/dev "$root" "$python" -m gunicorn --bind "${BIND:-127.0.0.1:8017}" --workers 1 --worker-tmp-dir /tmp --log-level warning invoices:app
