"""A device that is told which model to run, by paho, as models' contract of MQTT.md has it: device.py PORT NAME GROUP LOSS REFUSAL OUT.

It pulls the bundle piece by piece and throws a share LOSS (0 to 1) of the pieces away unseen, as a bad line would. With a
REFUSAL other than "-" it refuses every update with that code. The file lands in OUT once all of it is proved.
"""

import datetime
import hashlib
import json
import pathlib
import queue
import random
import sys

import paho.mqtt.client as mqtt

port, name, group, loss, refusal, out = sys.argv[1:]
base, noise, heard = f"ctedge/v1/{name}", random.Random(name), queue.Queue()


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat().replace("+00:00", "Z")


def say(below, retain=True, **fields):
    client.publish(f"{base}/{below}", json.dumps({"at": now(), **fields}), qos=1 if retain else 0, retain=retain)


def connected(client, *_):
    client.subscribe([(f"{base}/cmd/+/+/request", 1), (f"{base}/chunk/#", 0)])
    say("info", schema="info/1.0", version="0.1.0", group=group, surprise={"from": "a later version"})
    say("health", schema="health/1.0", overall="ok", checks=[])
    say("model/a", schema="model/1.0", slot="a", state="active", model={"name": "old", "version": "1.0.0", "serial": 1})
    say("status", schema="status/1.0", state="online", session=1, since=now())


class Pull:
    """The pieces of one part, in windows of 16; what does not come is asked for again."""

    def __init__(self, params, part, count, proved):
        self.params, self.part, self.count, self.proved, self.pieces = params, part, count, proved, {}

    def whole(self, told):
        while len(self.pieces) < self.count:
            missing = [number for number in range(self.count) if number not in self.pieces][:16]
            window = [number for number in missing if number < missing[0] + 16]
            say("fetch", retain=False, schema="fetch/1.0", digest=self.params["digest"], part=self.part,
                **{"from": window[0], "count": window[-1] - window[0] + 1})
            self.take(set(window))
            told(len(self.pieces) / self.count)
        return b"".join(self.pieces[number] for number in range(self.count))

    def take(self, window):
        while not window <= self.pieces.keys():
            try:
                topic, payload = heard.get(timeout=0.2)
            except queue.Empty:
                return
            if "/chunk/" in topic:
                digest, part, number = topic.split("/")[-3:]
                assert digest == self.params["digest"]
                if part == self.part and noise.random() >= float(loss):
                    assert self.proved(int(number), payload), f"piece {number} of {part}"
                    self.pieces[int(number)] = payload
            elif topic.endswith("/request"):
                repeated.append(topic)


def update(command, request):
    params = request["params"]
    tell = lambda state, **more: say(command, schema="command/1.0", id=request["id"], name="model_update", state=state, **more)
    tell("accepted")
    if refusal != "-":
        tell("rejected", reason_code=refusal, reason_detail="as it was\x1b[31m asked to")
        return
    size, bytes_ = params["source"]["mqtt"]["chunk_bytes"], params["bytes"]
    count = -(-bytes_ // size)
    sha = lambda data: hashlib.sha256(data).digest()
    listed = Pull(params, "list", -(-count * 32 // size), lambda number, piece: True).whole(lambda share: None)
    assert sha(listed).hex() == params["source"]["mqtt"]["chunks_sha256"]
    proved = lambda number, piece: sha(piece) == listed[32 * number : 32 * number + 32]
    data = Pull(params, "data", count, proved).whole(lambda share: tell("running", stage="fetching", progress=share))
    assert len(data) == bytes_ and sha(data).hex() == params["digest"]
    pathlib.Path(out).write_bytes(data)
    pathlib.Path(out + ".minisig").write_text(params["signature"])
    pathlib.Path(out + ".json").write_text(json.dumps(params))
    model = {key: params[key] for key in ("name", "version", "serial", "digest")}
    say("model/b", schema="model/1.0", slot="b", state="shadow", model=model,
        shadow={"series": 40, "agreement": 0.975, "flags": [], "max_difference": 0.1})
    tell("succeeded", result={"slot": "b", "state": params.get("mode", "activate"), **model})


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5)
client.on_connect = connected
client.on_message = lambda _client, _data, message: heard.put((message.topic, message.payload))
client.reconnect_delay_set(min_delay=1, max_delay=1)
client.connect("127.0.0.1", int(port))
client.loop_start()
repeated, done = [], set()
while True:
    topic, payload = heard.get()
    if topic.endswith("/request") and topic not in done:
        done.add(topic)
        command, request = topic.removeprefix(base + "/").removesuffix("/request"), json.loads(payload)
        assert set(request) == {"id", "issued_at", "expires_at", "issuer", "params"}
        if command.startswith("cmd/model_update/"):
            update(command, request)
        else:
            say(command, schema="command/1.0", id=request["id"], state="succeeded", result={"slot": "b", "params": request["params"]})
