#!/bin/bash
# Runs inside the machine that systemd has booted: whether the installed service keeps what its unit promises. Writes a line
# "ok NAME" or "FAIL NAME" for each check to /opt/said; the machine is switched off when it ends.
set -u
exec > /opt/log 2>&1
said=/opt/said
: > $said
check() { # check NAME COMMAND...
    local name=$1
    shift
    if "$@"; then echo "ok $name" >> $said; else echo "FAIL $name" >> $said; fi
}
within() { # within SECONDS COMMAND...: until it holds
    local left=$(($1 * 5))
    shift
    until "$@"; do
        left=$((left - 1))
        [ $left -gt 0 ] || return 1
        sleep 0.2
    done
}
property() { systemctl show ctedge --property="$1" --value; }
is() { [ "$(property "$1")" = "$2" ]; }
heard() { grep --quiet --fixed-strings "$1" /opt/mqtt; }
restarts_above() { [ "$(property NRestarts)" -gt "$1" ]; }
# A process group of its own has number 0, and is what `kill` would take it for.
signal() { within 20 alive && kill "$1" "$(property MainPID)"; }
alive() { [ "$(property MainPID)" -gt 0 ]; }
tells() { property StatusText | grep --quiet waiting; }
drop_in() { # drop_in NAME LINE...
    mkdir -p /run/systemd/system/ctedge.service.d
    printf '[Service]\n' > "/run/systemd/system/ctedge.service.d/$1.conf"
    printf '%s\n' "${@:2}" >> "/run/systemd/system/ctedge.service.d/$1.conf"
    systemctl daemon-reload
}

useradd --groups dicom sender
mkdir -p /usr/open /run/user/open
chmod 777 /usr/open /run/user/open
echo open | tee /run/user/open/file /tmp/outside /dev/outside > /dev/null

# It starts, says that it is ready, and has its broker's password from a credential.
check "ready" within 60 is ActiveState active
check "status" within 60 tells
mosquitto_sub -h 127.0.0.1 -u reader -P secret -t 'ctedge/#' -v > /opt/mqtt &
check "credential" within 60 heard '"state":"online"'
check "model" within 60 heard '"name":"scale-vlp-tiny"'

# A sender whose umask keeps others out drops a series, and its result comes.
runuser -u sender -- bash -c 'umask 022; mkdir /var/spool/ctedge/incoming/s && cp /opt/scan/* /var/spool/ctedge/incoming/s'
check "result" within 90 heard '/result/'
check "report" within 30 heard '/report '

# A machine has a kernel of its own, which has both walls; a container has that of its host.
if ! systemd-detect-virt --container --quiet; then
    walled() { ctedge status --json | tr -d '\n ' | grep --quiet '"id":"isolation","state":"ok"'; }
    check "Landlock and seccomp" within 20 walled
fi

# What the unit forbids is refused, and possible without it.
{
    echo '[Service]'
    sed -n '/^\[Service\]/,/^\[Install\]/p' /lib/systemd/system/ctedge.service |
        grep --invert-match --extended-regexp '^\[|^#|^(Exec|Type|Restart|SuccessExit|Watchdog|Timeout)'
    printf '%s\n' Type=oneshot 'ExecStart=/usr/bin/python3 /opt/probe.py' StandardOutput=file:/run/inside
} > /run/systemd/system/probe.service
systemctl daemon-reload
check "probe" systemctl start probe
systemd-run --quiet --wait --uid=ctedge --property=StandardOutput=file:/run/outside /usr/bin/python3 /opt/probe.py
cp /run/inside /run/outside /opt

# A daemon that hangs is killed and started again; one that dies again and again is not given up.
drop_in quick WatchdogSec=5 RestartSec=300ms
systemctl restart ctedge
check "ready again" within 60 tells
before=$(property NRestarts)
signal -STOP
check "watchdog" within 60 restarts_above "$before"
check "lives after the watchdog" within 60 tells
for turn in 1 2 3 4 5 6 7 8; do
    before=$(property NRestarts)
    signal -KILL
    within 20 restarts_above "$before"
done
check "eight deaths" within 60 is ActiveState active
check "works after them" within 60 tells

# A bad configuration is said once, and not tried for ever.
echo 'nonsense = 1' > /etc/ctedge/conf.d/99-wrong.toml
systemctl restart ctedge
check "bad configuration" within 20 is ActiveState failed
sleep 2
check "is not tried again" is ActiveState failed
journalctl --unit=ctedge --no-pager | grep --quiet nonsense
check "and says why" test $? = 0
rm /etc/ctedge/conf.d/99-wrong.toml
systemctl restart ctedge
check "the right one" within 60 tells

# A newer package takes over from the running daemon, and all that it knew is still there.
key=$(sha256sum < /var/lib/ctedge/site.key)
before=$(property MainPID)
taken_over() { [ "$(property MainPID)" != "$before" ] && tells; }
knows() { ctedge status --json | grep --quiet --extended-regexp '"received": ?1[^0-9]'; }
check "upgrades" dpkg --install /opt/newer.deb
check "runs the newer one" within 60 taken_over
check "has its site key" test "$key" = "$(sha256sum < /var/lib/ctedge/site.key)"
check "knows its results" within 20 knows
check "its audit log is whole" ctedge audit verify

# It ends in good order.
systemctl stop ctedge
check "stops" is Result success
check "says goodbye" within 20 heard '"state":"stopping"'
systemctl status ctedge --no-pager
complains() { journalctl --unit=ctedge --no-pager | grep --fixed-strings '"level":"ERROR"'; }
check "no error in its log" test -z "$(complains)"

# Removing it keeps what it knew, purging it nothing but what others have put into the drop folder.
echo somebody > /var/spool/ctedge/incoming/somebody
dpkg --remove ctedge
check "removed" test ! -e /usr/bin/ctedge -a -s /var/lib/ctedge/site.key -a -s /etc/ctedge/config.toml
dpkg --purge ctedge
check "purged" test ! -e /var/lib/ctedge -a ! -e /etc/ctedge -a ! -e /var/spool/ctedge/work
check "the drop folder is others'" test -s /var/spool/ctedge/incoming/somebody
journalctl --unit=ctedge --no-pager | tail -40
echo end >> $said
