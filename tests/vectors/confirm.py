# Confirms the valid records and heads of records.json, the checkpoints of checkpoints.json, and work.json, with other implementations of
# BLAKE3, CBOR, Ed25519 and Argon2 than ours; and merkle.json with an implementation of its own, written from the prose of shared/src/merkle:
#     pip install argon2-cffi blake3 cbor2 cryptography && python tests/vectors/confirm.py
# Worth a run whenever the vectors were changed on purpose; no test needs it.
import base64, json, pathlib

import blake3, cbor2
from argon2.low_level import Type, hash_secret_raw
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
v=json.load(open(pathlib.Path(__file__).with_name('records.json')))
b32=lambda b: base64.b32encode(b).decode().lower().rstrip('=')
dk=lambda ctx,b: blake3.blake3(b,derive_key_context=ctx).digest()
kinds={1:'inception',2:'keep page',3:'rotation',4:'release',5:'status'}
ctx=lambda kind: "ggen marketplace 2026 record id: "+kinds.get(kind,str(kind))
unb32=lambda text: base64.b32decode(text.upper()+'='*(-len(text)%8))
sk=Ed25519PrivateKey.from_private_bytes(bytes.fromhex(v['publisher']['seed']))
nk=Ed25519PrivateKey.from_private_bytes(bytes.fromhex(v['publisher']['next_seed']))
p=v['publisher']
assert p['key']==b32(sk.public_key().public_bytes_raw())
assert p['next']==b32(dk("ggen marketplace 2026 next key commitment", nk.public_key().public_bytes_raw()))
commitment=lambda key: dk("ggen marketplace 2026 next key commitment",key)
records={x['name']:x for x in v['valid']}; payload_of=lambda name: cbor2.loads(bytes.fromhex(records[name]['payload']))
def key_log(names):
    """The keys that each event put in force and committed to, by its id; what follows it; the pages that are here, by id."""
    events={}; followers={}; pages={}
    for name in names:
        x=records[name]; d=payload_of(name); id=unb32(x['id'])
        if x['kind']==2: pages[id]=d
        else: events[id]=(d['key'],d['next'])
        if x['kind']==3:
            assert commitment(d['revealed'])==events[d['prev']][1]
            followers.setdefault(d['prev'],[]).append(d)
    return events,followers,pages
for x in v['valid']:
    pay=bytes.fromhex(x['payload']); id=dk(ctx(x['kind']),pay)
    assert b32(id)==x['id']
    n=v['network'].encode()
    msg=b"ggen marketplace signed record\0"+bytes([len(n)])+n+x['kind'].to_bytes(2,'big')+id
    assert msg.hex()==x['message']
    signer=Ed25519PrivateKey.from_private_bytes(bytes.fromhex(x['seed']))
    sig=signer.sign(msg); assert sig.hex()==x['signature']
    env=cbor2.dumps({'k':x['kind'],'p':pay,'s':sig},canonical=True)
    assert env.hex()==x['record'], x['name']
    assert cbor2.dumps(cbor2.loads(pay),canonical=True)==pay
    assert dk("ggen marketplace 2026 announcement message id",env).hex()==x['announcement']
    d=cbor2.loads(pay)
    by=signer.public_key().public_bytes_raw(); events,followers,pages=key_log(x['key_log'])
    says=x['says']; what,r=next(iter(says.items())) if says else (None,None)
    if x['kind']==1: assert by==d['key'] and says is None; print(x['name'],'ok'); continue
    assert b32(d['publisher'])==p['id'] and what==kinds.get(x['kind'],'unknown').replace(' ','_')
    if x['kind'] in (2,3):
        # Signed by the key that the event before it committed to, which is not the one in force from then on.
        assert by==d['revealed'] and commitment(by)==events[d['prev']][1]
        assert b32(d['prev'])==r['prev'] and b32(d['revealed'])==r['revealed']
        ids=d['keep' if x['kind']==2 else 'pages']; assert ids==sorted(set(ids)) and [b32(i) for i in ids]==r['keep' if x['kind']==2 else 'pages']
        if x['kind']==3:
            assert b32(d['key'])==r['key'] and d['key']!=by
            assert b32(d['next'])==r['next'] and d['next'] not in (commitment(by),commitment(d['key']))
    else:
        # Signed by the key of its event; where that was rotated out, a page of one of the rotations keeps it.
        under=d['signed_under']; assert by==events[under][0] and 0<=d['index']<16384
        named=[page for rotation in followers.get(under,[]) for page in rotation['pages']]
        assert under not in followers or any(page in pages and id in pages[page]['keep'] for page in named)
    if x['kind']==4:
        cid=d['artifact']['cid'].value
        assert cid[0]==0 and 'b'+b32(cid[1:])==r['artifact'] and d['artifact']['size']==r['size']
        assert d['version']==r['version'] and d.get('title')==r['title'] and d['description']==r['description']
        assert r['full_name']=='ggen~'+b32(d['publisher'])[:16]+'/'+d['name']
    if x['kind']==5:
        package=lambda p: b32(p['publisher'])+'/'+p['name']
        assert package(d)==r['package'] and [d[k] for k in ('version','seq','state','reason')]==[r[k] for k in ('version','seq','state','reason')]
        assert (package(d['instead']) if 'instead' in d else None)==r['instead']
    if x['kind'] not in kinds: assert [b32(d['publisher']),b32(d['signed_under']),d['index']]==[r[k] for k in ('publisher','signed_under','index')]
    print(x['name'],'ok')
assert p['fingerprint']==p['id'][:16]
for h in v['heads']:
    d=cbor2.loads(bytes.fromhex(h['value'])); assert cbor2.dumps(d,canonical=True).hex()==h['value']; print(h['name'],list(d),'ok')

# Checkpoints.
v=json.load(open(pathlib.Path(__file__).with_name('checkpoints.json')))
sk=Ed25519PrivateKey.from_private_bytes(bytes.fromhex(v['seed']))
for x in v['valid']:
    d={'network':v['network'],'relay':sk.public_key().public_bytes_raw(),'epoch':x['epoch'],'root':bytes.fromhex(x['root']),'rules':x['rules']}
    d|={k:bytes.fromhex(x[k]) for k in ['exclusions','previous'] if x[k]}
    pay=cbor2.dumps(d,canonical=True); assert pay.hex()==x['payload']
    msg=b"ggen marketplace signed checkpoint\0"+pay; assert msg.hex()==x['message']
    sig=sk.sign(msg); assert sig.hex()==x['signature']
    env=cbor2.dumps({'p':pay,'s':sig},canonical=True); assert env.hex()==x['checkpoint']
    assert dk("ggen marketplace 2026 checkpoint",env).hex()==x['hash'] and b32(d['relay'])==x['relay']
    print('checkpoint of epoch',x['epoch'],'ok')

# Proofs of work.
v=json.load(open(pathlib.Path(__file__).with_name('work.json')))
for x in v['identities']:
    pay=cbor2.loads(bytes.fromhex(x['record']))['p']; id=dk(ctx(1),pay); assert b32(id)==x['id']
    hash=hash_secret_raw(id,b"ggen-work-v1",time_cost=1,memory_cost=8192,parallelism=1,hash_len=32,type=Type.ID,version=19)
    assert hash.hex()==x['hash']
    level=cbor2.loads(pay)['work']['level']; zeros=256-int.from_bytes(hash,'big').bit_length(); asked=x['network']=='ggen'
    holds=level in range(8,13) and zeros>=level if asked else level==0
    assert x['quota']==((4<<level if asked else 16384) if holds else None) and x['error']==(None if holds else 'record/wrong-work')
    print('identity:',x['name'],'ok')

# Merkle maps. Bits are texts of 0 and 1.
class Refused(Exception): pass
def demand(holds):
    if not holds: raise Refused
digest=lambda b: blake3.blake3(b.ljust(-(-len(b)//64)*64,b"\0"),key=b"ggen marketplace 2026 merkle map").digest()
leaf=lambda key,value: digest(b"\1"+len(key).to_bytes(2,'big')+len(value).to_bytes(4,'big')+key+value)
def bits(key): return ''.join('1'+format(byte,'08b') for byte in key)+'0'
def prefix(known,bit):
    """The bytes that the first bits of these belong to."""
    known=known[:bit].ljust(-(-bit//9)*9,'0')
    return bytes(int(known[at+1:at+9],2) for at in range(0,len(known),9))
def inner(bit,known,left,right):
    (count,hash),(other,another)=left,right
    return digest(b"\2"+bit.to_bytes(2,'big')+count.to_bytes(8,'big')+other.to_bytes(8,'big')+hash+another+prefix(known,bit))
def root(entries):
    if not entries: return digest(b"\0")
    if len(entries)==1: return leaf(*entries[0])
    all=[bits(key) for key,_ in entries]
    bit=next(at for at in range(len(all[0])) if len({it[at] for it in all})>1)
    sides=[[e for e,b in zip(entries,all) if b[bit]==side] for side in '01']
    return inner(bit,all[0],*[(len(side),root(side)) for side in sides])

def place(known,wanted,after):
    """Where keys that begin with these bits stand: -1 before the range, 0 in it, 1 behind it, 's' before its beginning, None: not clear."""
    def order(known,other):
        for a,b in zip(known,other):
            if a!=b: return 1 if a>b else -1
        return None if len(known)<len(other) else 0
    where=order(known,wanted)
    if where==0 and after is not None:
        return {None:None,1:0,0:'s',-1:'s'}[order(known,after)]
    return where

def verify(expected,wanted,whole,after,proof):
    """What a proof shows of the range of keys whose bits begin with `wanted`; `whole`: its bytes, if they are whole ones."""
    at=0; stack=[]; pieces=[]; hashes=[]
    def take(count):
        nonlocal at
        demand(at+count<=len(proof)); at+=count
        return proof[at-count:at]
    def number():
        value=shift=0
        while True:
            byte=take(1)[0]; value|=(byte&127)<<shift; shift+=7
            demand(value<2**64 and not (byte==0 and shift>7))
            if byte<128: return value
    def settled(count,hash,known,hidden,where):
        """Tells where a subtree stands, now that what is above it is known."""
        if hidden is not None: pieces[hidden][0]=place(where,wanted,after); pieces[hidden][2]=where
        if place(known or where,wanted,None)==0: hashes.append(hash)
    while at<len(proof):
        op=take(1)[0]
        if op<2:
            key=take(number()); value=take(number())
            if op==0: demand(whole is not None); key=whole+key
            else: demand(whole is None or not key.startswith(whole))
            demand(len(key)<=192)
            stack.append((1,leaf(key,value),bits(key),None)); pieces.append([place(bits(key),wanted,after),1,(key,value)])
        elif op==2:
            count=number(); demand(count>0)
            hash=take(32); stack.append((count,hash,None,len(pieces))); pieces.append([None,count,None,hash])
        elif op<5:
            bit=int.from_bytes(take(2),'big'); demand(len(stack)>1)
            right,left=stack.pop(),stack.pop(); known=left[2] or right[2]
            demand((op==4)==(known is None))
            if op==4:
                text=take(-(-bit//9)); known=bits(text)[:bit]; demand(len(known)==bit and prefix(known,bit)==text)
            for side,here in (left,'0'),(right,'1'):
                demand(side[2] is None or (len(side[2])>bit and side[2][:bit]==known[:bit] and side[2][bit]==here))
                settled(*side,known[:bit]+here)
            demand(left[0]+right[0]<2**64)
            stack.append((left[0]+right[0],inner(bit,known,left[:2],right[:2]),known[:bit],None))
        else: demand(False)
    demand(len(stack)<2)
    if stack:
        demand(stack[0][3] is None); settled(*stack[0],'')
    demand((stack[0][1] if stack else root([]))==expected and all(piece[0] is not None for piece in pieces))
    return pieces,hashes[-1] if hashes else None

unhex=lambda pairs: [tuple(map(bytes.fromhex,pair)) for pair in pairs]
v=json.load(open(pathlib.Path(__file__).with_name('merkle.json')))
roots={}
for x in v['maps']:
    roots[x['map']]=root(unhex(x['entries'])); assert roots[x['map']].hex()==x['root']; print('map:',x['map'],'ok')
def wanted_of(x):
    if x.get('prefix') is not None and isinstance(x['prefix'],str):
        whole=bytes.fromhex(x['prefix']); return bits(whole)[:-1],whole
    part=x['levels_of'] if 'levels_of' in x else x['prefix']
    wanted=bytes.fromhex(part['bytes']); return bits(wanted)[:part['bits']],wanted if part['bits']==9*len(wanted) else None
def proven(x):
    after=bits(bytes.fromhex(x['after'])) if x.get('after') is not None else None
    return verify(roots[x['map']],*wanted_of(x),after,bytes.fromhex(x['proof']))
for x in v['proofs']:
    pieces,hash=proven(x)
    inside=[piece for piece in pieces if piece[0]==0]; shown=[piece[2] for piece in inside if len(piece)==3]
    assert [len(piece) for piece in inside]==sorted(len(piece) for piece in inside), 'entries come first'
    assert shown==unhex(x['entries']) and (hash.hex() if hash else None)==x['hash']
    assert sum(p[1] for p in pieces if p[0]=='s')==x['skipped'] and sum(p[1] for p in inside if len(p)==4)==x['rest']
    print('proof:',x['name'],'ok')
for x in v['levels']:
    pieces,hash=proven(x); inside=[piece for piece in pieces if piece[0]==0]
    assert hash.hex()==x['hash'] and len(inside)==len(x['pieces'])
    for piece,said in zip(inside,x['pieces']):
        if 'key' in said: assert piece[2]==(bytes.fromhex(said['key']),bytes.fromhex(said['value']))
        else:
            assert (piece[1],piece[3].hex(),len(piece[2]))==(said['count'],said['hash'],said['bits']) and piece[1]>1
            assert prefix(piece[2],len(piece[2])).hex()==said['bytes']
    print('levels:',x['name'],'ok')
for x in v['refused']:
    try: inside=[piece for piece in proven(x)[0] if piece[0]==0]
    except Refused: pass
    else:
        # It holds, and hides what has to be shown: an entry alone in a descent, or one before those that are shown.
        if x['levels_of']: assert any(len(piece)==4 and piece[1]==1 for piece in inside), x['name']
        else: assert [len(piece) for piece in inside]!=sorted(len(piece) for piece in inside), x['name']
    print(x['name'],'ok')
for x in v['prefixes']:
    text=bytes.fromhex(x['bytes']); known=bits(text)[:x['bits']]
    assert x['valid']==(len(text)<=192 and len(text)==-(-x['bits']//9) and prefix(known,x['bits'])==text), x
print(len(v['prefixes']),'prefixes ok')
