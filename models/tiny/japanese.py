"""Japanese answers of words in no fixed order, around a row's own values: what copying is learned on.

A language with a few answer forms per topic is learned by heart instead of read. It knows nothing about prompts,
tokens or training.
"""

# ruff: noqa: E501 - lists of words read best as running text

from __future__ import annotations

import re
from dataclasses import replace
from random import Random

from kurabe.shop_frames import NOUNS_JA, words
from kurabe.shop_values import invented_word
from kurabe.shops import Row, Shop

_KANJI = (
    "日一国人年大十二本中長出三時行見月後前生五間上東四今金九入学高円子外八六下来気小七山話女北午百書先名川千水半男西電校語土木聞食車何南万毎白天母火右読友左休父雨"
    "会同事自社発者地業方新場員立開手力問代明動京目通言理体田主題意不作用度強公持野以思家世多正安院心界教文元重近考画海売知道集別物使品計死特私始朝運終台広住真有口少町料工建空急止送切転研足究楽起着店病質待試族銀早映親験英医仕去味写字答夜音注帰古歌買悪図週室歩風紙黒花春赤青館屋色走秋夏習駅洋旅服夕借曜飲肉貸堂鳥飯勉冬昼茶弟牛魚兄犬妹姉漢"
    "政議民連対部合市内相定回選米実関決全表戦経最現調化当約首法性的要制治務成期取都和機平加受続進数記初指権支産点報済活原共得解交資予向際勝面告反判認参利組信在件側任引求所次昨論官増係感情投示変打直両式確果容必演歳争談能位置流格疑過局放常状球職与供役構割身費付由説難優夫収断石違消神番規術備宅害配警育席訪乗残想声念助労例然限追商葉伝働形景落好退頭負渡失差末守若種美命福望非観察段横深申様財港識呼達良候程満敗値突光路科積他処太客否師登易速存飛殺号単座破除完降責捕危給苦迎園具辞因馬愛富彼未舞亡冷適婦寄込顔類余王返妻背熱宿薬険頼覚船途許抜便留罪努精散静婚喜浮絶幸押倒等老曲払庭徒勤遅居雑招困欠更刻賛抱犯恐息遠戻願絵越欲痛笑互束似列探逃遊迷夢君閉緒折草暮酒悲晴掛到寝暗盗吸陽御歯忘雪吹娘誤洗慣礼窓昔貧怒泳祖杯疲皆鳴腹煙眠怖耳頂箱晩寒髪忙才靴恥偶偉猫幾"
)
_KATAKANA = "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワンガギグゲゴザジズゼゾダデドバビブベボパピプペポ"
_LOANWORDS = words(
    "ドル ユーロ ポンド ポイント クーポン メール アプリ サイト ページ ボタン リンク アカウント ログイン パスワード カード セット ケース カバー サービス サポート スタッフ センター カウンター フロア ロビー ホール ルーム コース "
    "クラス プラン コピー サイズ カラー モデル タイプ デザイン パーツ ケーブル バッテリー カメラ パソコン タブレット スマホ プリンター テレビ ソファ ベッド テーブル ランプ カーテン コーヒー ランチ メニュー ワイン チーズ パン ケーキ "
    "バス タクシー ホテル チェック キャンペーン イベント ニュース カレンダー リスト ファイル フォーム データ メモ ノート ペン バッグ シャツ コート ジャケット ボトル グラス プレゼント メッセージ オンライン フリー ショップ"
)
_ENDS = words(
    "です ます ください ました ません できます できません かかります 届きます 送ります 選びます 始まります 終わります 変わります 残ります 含みます 使えます 払います 戻ります 受け取ります 答えます 伝えます 調べます 決まります 届けます "
    "お送りします お待ちします お答えします ご覧ください お選びください お知らせします ご利用になれます 必要です 無料です 有料です 可能です 不要です 有効です 別です 同じです 対象です 目安です 上限です 以上です 以下です 未満です となります "
    "になります いただけます いただきます でした でしょう 増えます 減ります 上がります 下がります 引きます 足します 合わせます 渡します 預けます 開けます 閉めます 押します 入れます 出します 読みます 書きます"
)
_LINKS = words(
    "は が を に で と から まで より へ も や の には では とは からは までに までは 以内 以内に 以内なら 以上 以上は 以上なら 以下 未満 を超える を超えると 以降 前に 後に 後は ごとに につき あたり ずつ だけ ほど くらい のみ として について "
    "に対して によって の場合 の場合は なら なので ですが ので のため ために とき ときは すると しても して したら した する しない される いる ある ない その他 または および さらに ただし また もし すべて まず 次に"
)
_MARKS = words("、 、 、 。 ・ （ ） 「 」 ： 〜")
_UNITS = words("ドル ドル ドル ユーロ ポンド $ € 元")
_YEN = re.compile(r"(?:￥|¥)?([\d,]+)円|[￥¥]([\d,]+)")


def word(rng: Random) -> str:
    """A noun: a known one, two or three characters together, or sounds that mean nothing."""
    dice = rng.random()
    if dice < 0.2:
        return rng.choice(NOUNS_JA)
    if dice < 0.5:
        return "".join(rng.choice(_KANJI) for _ in range(rng.randint(1, 3)))
    if dice < 0.7:
        return rng.choice(_LOANWORDS)
    if dice < 0.85:
        return "".join(rng.choice(_KATAKANA) for _ in range(rng.randint(2, 5)))
    if dice < 0.93:
        return invented_word(rng).capitalize()
    return f"{rng.randint(1, 999)}{rng.choice(['日', '時間', '個', '回', '名', '枚', '番', 'か国', '%', '週間', '営業日', ''])}"


def jumble(rng: Random, least: int, most: int) -> str:
    """Words, links and marks in no order at all: only copying can continue them."""
    stocks = (lambda: word(rng), lambda: rng.choice(_LINKS), lambda: rng.choice(_ENDS), lambda: rng.choice(_MARKS))
    return "".join(rng.choices(stocks, [45, 30, 13, 12])[0]() for _ in range(rng.randint(least, most)))


def sentence(rng: Random, held: tuple[str, ...] = ()) -> str:
    """Words joined by links, with the values among them in their order."""
    parts: list[str] = []
    slots = [*held, *[""] * rng.randint(0 if held else 1, 2)]
    if not held or rng.random() < 0.6:
        rng.shuffle(slots)
        order = iter(held)
        slots = [next(order) if slot else "" for slot in slots]
    for slot in slots:
        parts += [slot or word(rng), rng.choice(_LINKS) + ("、" if rng.random() < 0.2 else "")]
    return "".join(parts) + rng.choice(_ENDS) + "。"


def _retold(row: Row, rng: Random) -> str:
    """The row's answer with other sentences around it, or its values in sentences of no fixed form."""
    if "\n" in row.answer or rng.random() < 0.4:
        return row.answer
    if rng.random() < 0.35:
        ended = row.answer if row.answer.endswith("。") else f"{row.answer}。"
        return sentence(rng) + ended if rng.random() < 0.5 else ended + sentence(rng)
    texts, values = [], list(row.values)
    while values:
        count = min(len(values), rng.randint(1, 2))
        texts.append(sentence(rng, tuple(values[:count])))
        del values[:count]
    if rng.random() < 0.4:
        texts.insert(rng.randint(0, len(texts)), sentence(rng))
    return "".join(texts)


class _Amounts(dict[str, str]):
    """Yen as written -> the same row of digits in another currency, one for each amount of a shop."""

    def __init__(self, rng: Random, unit: str) -> None:
        super().__init__()
        self._rng, self._unit = rng, unit

    def __missing__(self, yen: str) -> str:
        whole = self._rng.randint(1, 199)
        cents = self._rng.choice(["", "", ".99", ".50", f".{self._rng.randrange(100):02d}"])
        number = f"{whole}{cents}"
        self[yen] = f"{self._unit}{number}" if self._unit in "$€" else f"{number}{self._unit}"
        return self[yen]


def retell(shop: Shop, rng: Random) -> Shop:
    """The same rows told otherwise; a third of the shops take another currency."""
    if rng.random() < 0.35:
        amounts = _Amounts(rng, rng.choice(_UNITS))

        def exchange(text: str) -> str:
            return _YEN.sub(lambda match: amounts[match.group(0)], text)

        rows = tuple(
            replace(
                row, answer=exchange(row.answer), short=exchange(row.short),
                values=tuple(map(exchange, row.values)), short_values=tuple(map(exchange, row.short_values)),
            )
            for row in shop.rows
        )  # fmt: skip
        shop = replace(shop, rows=rows)
    return replace(shop, rows=tuple(replace(row, answer=_retold(row, rng)) for row in shop.rows))
