# Confirms the valid records and heads of records.json with other implementations of BLAKE3, CBOR and Ed25519 than ours:
#     pip install blake3 cbor2 cryptography && python tests/vectors/confirm.py
# Worth a run whenever the vectors were changed on purpose; no test needs it.
import base64, json, pathlib

import blake3, cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
v=json.load(open(pathlib.Path(__file__).with_name('records.json')))
b32=lambda b: base64.b32encode(b).decode().lower().rstrip('=')
dk=lambda ctx,b: blake3.blake3(b,derive_key_context=ctx).digest()
ctx={1:"ggen marketplace 2026 record id: inception",4:"ggen marketplace 2026 record id: release"}
sk=Ed25519PrivateKey.from_private_bytes(bytes.fromhex(v['publisher']['seed']))
nk=Ed25519PrivateKey.from_private_bytes(bytes.fromhex(v['publisher']['next_seed']))
p=v['publisher']
assert p['key']==b32(sk.public_key().public_bytes_raw())
assert p['next']==b32(dk("ggen marketplace 2026 next key commitment", nk.public_key().public_bytes_raw()))
for x in v['valid']:
    pay=bytes.fromhex(x['payload']); id=dk(ctx[x['kind']],pay)
    assert b32(id)==x['id']
    n=v['network'].encode()
    msg=b"ggen marketplace signed record\0"+bytes([len(n)])+n+x['kind'].to_bytes(2,'big')+id
    assert msg.hex()==x['message']
    sig=sk.sign(msg); assert sig.hex()==x['signature']
    env=cbor2.dumps({'k':x['kind'],'p':pay,'s':sig},canonical=True)
    assert env.hex()==x['record'], x['name']
    assert cbor2.dumps(cbor2.loads(pay),canonical=True)==pay
    assert dk("ggen marketplace 2026 announcement message id",env).hex()==x['announcement']
    d=cbor2.loads(pay)
    if x['release']:
        r=x['release']; cid=d['artifact']['cid'].value
        assert cid[0]==0 and 'b'+b32(cid[1:])==r['artifact'] and d['version']==r['version'] and d.get('title')==r['title'] and d['description']==r['description']
        assert r['full_name']=='ggen~'+b32(d['publisher'])[:16]+'/'+d['name']
        assert b32(d['publisher'])==p['id']==b32(d['signed_under'])
    print(x['name'],'ok')
assert p['fingerprint']==p['id'][:16]
for h in v['heads']:
    d=cbor2.loads(bytes.fromhex(h['value'])); assert cbor2.dumps(d,canonical=True).hex()==h['value']; print(h['name'],list(d),'ok')
