"""The words of the headline grammar in English and Chinese. Every company is invented."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Signed = Mapping[int, tuple[str, ...]]
"""Words by the direction they point in: +1, 0 or -1."""


@dataclass(frozen=True, kw_only=True)
class Lexicon:
    """The words of one language and its four sentence patterns; see `crossover.tasks.text.headlines` for the rules.

    No pattern puts two words that decide the label together side by side, so pairs of neighbours don't tell it.
    """

    companies: tuple[str, ...]
    openings: tuple[str, ...]
    contest: str
    adverbs: tuple[str, ...]
    contests: Signed
    rivals: tuple[str, ...]
    denial: str
    sources: tuple[str, ...]
    reports: Signed
    whether: Mapping[bool, str]
    negations: Mapping[int, str]
    trends: Signed
    figures: str
    metrics: Signed
    expectations: tuple[str, ...]
    sequence: str
    orders: Signed
    events: Signed
    adjectives: tuple[str, ...]
    places: tuple[str, ...]


ENGLISH = Lexicon(
    companies=(
        *("Nordbank", "Altera", "Vellum", "Castor", "Brightwell", "Oxmoor", "Tarnfield", "Luminor", "Quayside"),
        *("Ferrolane", "Hartwick", "Solvane", "Meridor", "Pinecrest", "Zephyra", "Kestrel", "Ironvale", "Calyx"),
    ),
    openings=("Monday: ", "Tuesday: ", "Wednesday: ", "Thursday: ", "Friday: ", "", "", "", "", ""),
    contest="{first} {adverb} {verb} {rival} {second}",
    adverbs=("again", "clearly", "narrowly", "unexpectedly", "still", "now"),
    contests={
        1: ("overtakes", "outsells", "beats", "outgrows"),
        0: ("matches", "equals"),
        -1: ("trails", "lags", "underperforms", "chases"),
    },
    rivals=("rival", "competitor", "peer", "challenger"),
    denial="{source} {report} {whether} {metric} at {company} {negation} {trend}",
    sources=("Analysts", "Brokers", "Managers", "Auditors", "Unions"),
    reports={1: ("confirm", "expect"), 0: ("ask", "discuss"), -1: ("deny", "doubt")},
    whether={True: "whether", False: "that"},
    negations={1: "will", -1: "will not"},
    trends={1: ("rise", "improve"), -1: ("fall", "shrink")},
    figures="{expectation}{metric} at {company} come in at EUR {now} mn after EUR {before} mn",
    metrics={1: ("profits", "sales", "orders"), -1: ("costs", "debts", "losses")},
    expectations=("Seen rising, ", "Seen falling, ", "", ""),
    sequence="{adjective} {event} for {company} in {place} {order} a {adjective2} {event2} in {place2}",
    orders={1: ("after", "following"), -1: ("before", "preceding")},
    events={
        1: ("contract", "award", "breakthrough", "upgrade"),
        0: ("meeting", "conference", "visit", "speech"),
        -1: ("recall", "strike", "lawsuit", "blackout"),
    },
    adjectives=("big", "small", "first", "second", "late", "local"),
    places=("Oslo", "Rome", "Lima", "Cairo", "Delhi", "Boston"),
)

CHINESE = Lexicon(
    companies=(
        *("长城电子", "南方银行", "长江重工", "黄河能源", "海湾电器", "新星食品", "泰山钢铁", "东方航运", "北极软件"),
        *("珠峰制药", "春风服装", "白云建筑", "高原乳业", "晨光化工", "绿洲农业", "银河通信", "远洋物流", "蓝天航空"),
    ),
    openings=("周一:", "周二:", "周三:", "周四:", "周五:", "", "", "", "", ""),
    contest="{first}{adverb}{verb}{rival}{second}",
    adverbs=("再次", "明显", "意外", "今日", "依然", "暂时"),
    contests={1: ("超过", "领先", "战胜", "压倒"), 0: ("匹敌", "媲美"), -1: ("落后", "输给", "不如", "逊于")},
    rivals=("对手", "同行", "竞争者"),
    denial="{source}{report}{company}{metric}{whether}{negation}{trend}",
    sources=("分析师", "券商", "管理层", "审计师", "工会"),
    reports={1: ("证实", "预计"), 0: ("讨论", "追问"), -1: ("否认", "怀疑")},
    whether={True: "是否", False: ""},
    negations={1: "将", -1: "不会"},
    trends={1: ("增长", "改善"), -1: ("下降", "恶化")},
    figures="{expectation}{company}{metric}为{now}亿元,去年同期为{before}亿元",
    metrics={1: ("利润", "收入", "订单"), -1: ("成本", "债务", "亏损")},
    expectations=("此前看涨,", "此前看跌,", "", ""),
    sequence="{company}在{place}迎来{adjective}{event},{order}在{place2}迎来{adjective2}{event2}",
    orders={1: ("此前", "之前"), -1: ("此后", "随后")},
    events={
        1: ("合同", "奖项", "突破", "升级"),
        0: ("会议", "论坛", "访问", "演讲"),
        -1: ("召回", "罢工", "诉讼", "停电"),
    },
    adjectives=("大型", "小型", "首次", "重要", "临时", "当地"),
    places=("上海", "北京", "广州", "杭州", "成都", "西安"),
)
