"""Column titles: what a row of a code file says when it is not a code."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from partner_vouchers.domain.characters import QUOTATION_MARKS, WHITE_SPACE

_NAMES = """
code|codes|coupon|coupons|coupon code|coupon codes|coupon number|coupon no|coupon id|voucher|vouchers
voucher code|voucher codes|voucher number|voucher no|voucher id|promo|promo code|promo codes|promotion code
promotion codes|promotional code|promotional codes|e-code|e-voucher
gift code|gift codes|gift card|gift cards|gift card code
gift card codes|gift card number|gift voucher|discount code|discount codes|reward code|reward codes|redeem code
redemption code|redemption codes|offer code|offer codes|unique code|unique codes|activation code|activation codes
serial|serials|serial number|serial numbers|serial no|serial code|serial key|key|keys|license key|licence key
product key|card number|card code|code number|value|values

Gutschein|Gutscheine|Gutscheincode|Gutscheincodes|Gutschein-Code|Gutscheinnummer|Aktionscode|Aktionscodes
Rabattcode|Rabattcodes|Promocode|Geschenkcode|Einlösecode|Kode|Kodes|Seriennummer|Schlüssel|Wert

code promo|codes promo|code promotionnel|codes promotionnels|code de réduction|codes de réduction|code réduction
code cadeau|code avantage|code coupon|bon|bon de réduction|bon d'achat|numéro de série|clé|valeur

código|códigos|cupón|cupones|vale|código de cupón|código promocional|códigos promocionales|código de descuento
códigos de descuento|código de regalo|número de serie|clave|valor

cupom|cupons|cupão|código do cupom|código de desconto|códigos de desconto|código de oferta|vale-presente
número de série|chave

codice|codici|codice sconto|codici sconto|codice promo|codice promozionale|codice coupon|codice voucher
codice regalo|buono|buoni|buono sconto|numero di serie|chiave|valore

kortingscode|kortingscodes|actiecode|actiecodes|waardebon|tegoedbon|cadeaucode|serienummer|sleutel|waarde

kod|koder|rabattkod|rabattkoder|kupong|kuponger|kupongkod|presentkod|kampanjkod|värdekod|nyckel|värde
kode|rabatkode|rabatkoder|rabattkode|rabattkoder|kupon|kuponer|kuponkode|kupongkode|gavekode|kampanjekode
kampagnekode|nøgle|nøkkel|værdi|verdi
koodi|koodit|alennuskoodi|alennuskoodit|kuponki|kuponkikoodi|lahjakoodi|kampanjakoodi|sarjanumero|avain|arvo
kóði|kóðar|afsláttarkóði

kody|kod kuponu|kod rabatowy|kody rabatowe|kod promocyjny|kody promocyjne|kod podarunkowy|numer seryjny|klucz
wartość|kód|kódy|kupón|kupóny|slevový kód|slevové kódy|slevový kupón|dárkový kód|poukaz|voucher kód
sériové číslo|klíč|hodnota|zľavový kód|zľavové kódy|darčekový kód|kľúč
kódok|kuponkód|kuponkódok|utalvány|utalványkód|kedvezménykód|promóciós kód|ajándékkód|sorozatszám|kulcs|érték
cod|coduri|cupon|cupoane|cod cupon|cod promoțional|cod de reducere|coduri de reducere|cod cadou|număr de serie
cheie|valoare
kôd|kodovi|koda|kodi|kod kupona|promo kod|promocijska koda|kod za popust|koda za popust|poklon kod|serijski broj
ključ|vrijednost|vrednost
kodas|kodai|kuponas|nuolaidos kodas|kods|kupons|atlaides kods|atlaižu kods|kood|koodid|sooduskood|kinkekood
kodet|kodiċi|cód|cóid|côd|kodea|kodeak|codi|codis|codi promocional|codi de descompte|cupó

код|коды|коди|кодове|кодови|купон|купоны|купони|код купона|промокод|промокоды|промо код|код за отстъпка
код скидки|код знижки|ваучер|код ваучера|подарочный код|подарунковий код|серийный номер|серійний номер
сериен номер|ключ|значение|значення|стойност
κωδικός|κωδικοί|κουπόνι|κωδικός κουπονιού|εκπτωτικός κωδικός|κωδικός προσφοράς|σειριακός αριθμός|κλειδί|τιμή
kodlar|kupon kodu|indirim kodu|promosyon kodu|hediye kodu|hediye çeki|seri numarası|anahtar|değer
კოდი|կոդ

コード|クーポン|クーポンコード|バウチャー|バウチャーコード|プロモコード|プロモーションコード|ギフトコード|割引コード
シリアル|シリアルコード|シリアル番号|シリアルナンバー|キー|値|番号
代码|代碼|编码|編碼|码|碼|优惠码|優惠碼|优惠券|優惠券|优惠券码|優惠券碼|优惠券代码|優惠券代碼|优惠代码|優惠代碼
折扣码|折扣碼|折扣代码|折扣代碼|兑换码|兌換碼|礼品码|禮品碼|促销码|促銷碼|促销代码|促銷代碼|券码|券碼|卡密|卡号|卡號
激活码|激活碼|序列号|序列號|密钥|金鑰|值
코드|쿠폰|쿠폰코드|쿠폰번호|바우처|바우처코드|할인코드|프로모션코드|상품권|상품권번호|기프트코드|시리얼|시리얼번호
일련번호|키|값

कोड|कूपन|कूपन कोड|वाउचर|वाउचर कोड|प्रोमो कोड|डिस्काउंट कोड|गिफ्ट कोड|सीरियल नंबर|कुंजी|संकेतांक
কোড|কুপন|কুপন কোড|ভাউচার|குறியீடு|கூப்பன்|கூப்பன் குறியீடு|కోడ్|కూపన్|కూపన్ కోడ్|ಕೋಡ್|ಕೂಪನ್|കോഡ്|കൂപ്പൺ
કોડ|કૂપન|ਕੋਡ|ਕੂਪਨ|کوڈ|کوپن|واؤچر|කේතය
رمز|الرمز|كود|الكود|كوبون|قسيمة|رمز القسيمة|كود الخصم|رمز الخصم|رمز ترويجي|الرقم التسلسلي|القيمة
کد|کد تخفیف|کد کوپن|קוד|קודים|קופון|קוד קופון|שובר|קוד שובר|קוד הנחה
รหัส|โค้ด|คูปอง|รหัสคูปอง|รหัสส่วนลด|โค้ดส่วนลด
mã|mã code|mã voucher|mã giảm giá|mã khuyến mãi|mã quà tặng|phiếu giảm giá|số seri
kode kupon|kode voucher|kode promo|kode diskon|nomor seri|kunci|nilai|baucar|kod baucar|msimbo
ລະຫັດ|កូដ|ကုဒ်
"""


def _without_accents(name: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", name) if not "\u0300" <= c <= "\u036f")


_LISTED = [name for line in _NAMES.splitlines() for name in line.split("|") if name]

COLUMN_TITLES: frozenset[str] = frozenset(_LISTED) | frozenset(map(_without_accents, _LISTED))
"""Known titles of a column of codes, in many languages, with and without accents.

Pass `CodeFormat(titles=COLUMN_TITLES | {"..."})` to add your own.
"""

_NOT_COMPARED = str.maketrans("", "", WHITE_SPACE + "_-")


def title_key(text: str) -> str:
    """Return what two spellings of a title have in common.

    Case, white space, `_`, `-`, outer quotes and a trailing colon do not matter.

    Example:
        >>> title_key('" Voucher_Codes: "')
        'vouchercodes'
    """
    folded = unicodedata.normalize("NFKC", text.casefold())
    # Turkish has two letters of each case for the one i of other languages.
    folded = folded.replace("i\u0307", "i").replace("\u0131", "i")
    unquoted = folded.translate(_NOT_COMPARED).strip(QUOTATION_MARKS)
    return unquoted.removesuffix(":").strip(QUOTATION_MARKS)


_WIDE = re.compile("[\u2057\u2150-\u217f\u2474-\u249b\u2a0c\u3200-\u33ff\ufdf0-\ufdfc]")
"""The characters that NFKC writes as four or more, up to eighteen, are among these."""


class TitleLength:
    """Tells rows that are too long for a title at little cost: normalising a row can take a hundred times as long.

    Attributes:
        most: the most characters that the longest title has, however it is written.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self.most: int = max((len(unicodedata.normalize("NFKD", key)) for key in keys), default=0)

    def fits(self, text: str) -> bool:
        """Return whether a row may be a title: each character of one is written as two at the most."""
        if (
            len(text) > 2 * self.most
            and len(text.translate(_NOT_COMPARED).strip(f"{QUOTATION_MARKS}:")) > 2 * self.most
        ):
            return False
        return text.isascii() or 3 * len(_WIDE.findall(text)) <= self.most


@lru_cache
def title_keys(titles: frozenset[str] | tuple[str, ...]) -> frozenset[str]:
    """Return the keys of titles, for `title_key(text) in keys`."""
    return frozenset(map(title_key, titles)) - {""}
