"""Topics of invented English-speaking shops around an order: labels, wordings and answer sentences with slots.

Plain text, one topic per block; it knows nothing about values, shops, languages or models (`shops.py` fills it).
`#` kind and labels, `?` wordings, `?!` held-out wordings, `=` short form, `!` main sentences, `+` further sentences.
`[a|b]` is a choice, `{money1}` a slot, `{L}` one of the labels.
"""

# ruff: noqa: E501 - one wording per line reads best

ORDERS = """
# money: standard shipping / standard delivery / regular shipping
? [What|How much] is [delivery|postage|shipping] for [an order|one item|a small parcel]?
? What are [the|your] [postage|delivery|freight] [costs|rates|prices]?
? How much will [sending|posting|transporting] [it|my order|the goods] cost me?
? Do you [add|charge] [a fee|money|anything] for [delivery|sending the goods|transport|postage]?
? Which [amount|sum|fee] do you add for [delivery|the parcel|transport]?
? What [must|will|would] I [pay|spend] to [get|receive|have] [it|the goods|my things] at home?
? Is [sending|delivery|transport] [expensive|cheap|free]?
? Does it cost [extra|something|anything] to [ship|deliver|mail] my order?
? How much [is|do you charge for] shipping?
? What [does it cost|do I pay] to ship an order?
? Shipping [fee|price|charges|rates]?
? What's the delivery [charge|fee|cost]?
? How much do I pay to have [something|a parcel|my order] delivered?
? When is shipping free?
? How long does [normal|standard|regular] delivery take?
?! What would I have to pay to get a parcel sent?
?! How much extra is delivery on top of my order?
= {money1}, free over {big1}, {range1}
! Standard shipping costs {money1}.
! We charge {money1} for standard delivery.
! Regular shipping is {money1} per order.
+ It is free for orders over {big1}.
+ Delivery takes {range1}.
+ Orders above {big1} ship free.
# money: express shipping / express delivery / fast shipping / next-day delivery
? [What if I|I] need [it|my order|the parcel] [very soon|by tomorrow|in a hurry]?
? Is there a [quicker|faster|speedy|priority] [way|option|service]?
? How do I [speed up|hurry up] [delivery|my order]?
? What do you [ask|charge] for [speed|express|priority|the fastest delivery]?
? Which option is the fastest, and what does it cost?
? [Can I get|Is there|Do you offer] faster shipping?
? What does it cost to get my order [quickly|sooner|tomorrow]?
? How fast is [express|priority] delivery?
? I need it [urgently|right away]. What are my options?
? How much for rush delivery?
?! Could my parcel arrive sooner if I pay more?
?! What is the price of the quick delivery option?
= {money1}, {range1}
! Express shipping costs {money1} and takes {range1}.
! Express delivery is {money1}.
! You can choose fast shipping for {money1}.
+ It arrives within {range1}.
+ Order before {time1} for same-day dispatch.
# policy: returns / the return policy / sending items back
? [How|Where] do I [bring|give|hand|take|mail] [it|goods|a product|things] back?
? [May|Could|Can] I [give|bring|hand] back [goods|a product|what I bought] that I [don't want|don't need|do not like]?
? I [don't want|don't need|dislike] [it|the product|what I ordered]. [What now|Can it go back|What can I do]?
? What are the [steps|rules|terms] [for|of] [a return|returning goods|giving things back]?
? Is there a [time limit|deadline|last day] for [a return|giving goods back|sending it back]?
? Do you take [goods|products|items] back?
? How does [a return|returning|giving back] work?
? Can I get [rid of it|my money] if I am not happy with [it|the product|my purchase]?
? How [do|can] I [return|send back] [an item|something|a purchase|an order]?
? What is your return policy?
? How many days do I have to [return something|send it back]?
? Can I return [an item|this] if I don't like it?
? What's the return window?
? How long after buying can I bring something back?
?! It doesn't suit me; may I give it back?
?! Until when can goods be sent back?
= within {dur1}, refund in {range1}
! You can return items within {dur1}.
! We accept returns within {dur1} of delivery.
! Send items back within {dur1} in their original packaging.
+ The refund arrives in {range1}.
+ Return shipping costs {money1}.
+ Write to {email1} to start a return.
# dur: refunds / a refund / getting my money back
? How [soon|quickly|fast] [do you pay|is the money] back?
? When [is|will] the money [back|returned|paid back|in my account]?
? How many days until [the refund|my money] [comes|arrives]?
? I am waiting for my [money|refund]. How long [will it take|is it]?
? When will I [get my money back|be refunded|see my refund]?
? How long does a refund take?
? How are refunds paid?
? I returned my order. When do I get paid back?
?! How soon does the money land on my account after a return?
?! When is my payment returned to me?
= {range1}
! Refunds take {range1}.
! Your refund reaches you in {range1}.
! We pay refunds back within {range1}.
+ The money goes to the original payment method.
+ Questions about refunds go to {email1}.
# policy: bulk discounts / bulk orders / volume discounts / large orders
? [What|How much] cheaper is it [for|with] [a large number|a hundred|fifty|many] [of items|pieces|things]?
? We [are|buy for] a [team|company|school|club]. [What discount do we get|Is there a reduction|Do you lower the price]?
? From [how many|which number of] [items|pieces] [is there a discount|do prices fall|does a discount start]?
? [At|From] which [amount|quantity|number] [do|does] [the discount|discounts|lower prices] [start|begin]?
? Do [big|large|huge] [orders|buyers|quantities] [cost less|get a reduction|have lower prices]?
? Is there a [reduction|rebate|special price|better price] for [quantity|big orders|many pieces]?
? What do I save [with|on] a [large|big] [order|quantity|purchase]?
? Do you [offer|have|give] [discounts|a discount] for [bulk|large|big] orders?
? Is it cheaper if I buy [many|a lot|more]?
? What discount do I get on [large|bulk] quantities?
? Do you have wholesale prices?
? How much do I save when ordering [in bulk|many items]?
?! What's the reduction if I take dozens?
?! Are there better prices for big quantities?
= {pct1} from {n1} items, {pct2} from {n2}, {pct3} from {n3}
! Bulk orders get {pct1} off from {n1} items.
! You get {pct1} off from {n1} items and {pct2} off from {n2} items.
! Our bulk discounts are {pct1} from {n1} items, {pct2} from {n2} and {pct3} from {n3}.
- {pct1} off from {n1} items / {pct2} off from {n2} items / {pct3} off from {n3} items / {pct4} off from {n4} items
+ For more than {n4} items write to {email1}.
# policy: price match / price matching / the price guarantee
? I [saw|found|know] [a better|a lower|a cheaper] [price|offer] [online|in another shop|at a competitor|elsewhere]. [And now|What do you do|Do you match it]?
? Do you [lower|reduce|adjust] [your|the] price [if|when] [another shop|a competitor|someone else] [is cheaper|sells for less]?
? The price [fell|went down|is lower] [after|since] I [bought|paid|ordered]. [What now|Do I get something back|Can you help]?
? [Can|Do] you [beat|match|meet] [another|a competing|a cheaper] [offer|price]?
? Do I [always|surely] [get|pay] the [best|lowest] price?
? Can I get the difference if it is cheaper somewhere else?
? Do you [match prices|price match|match competitor prices]?
? I found it cheaper [elsewhere|at another shop]. What can you do?
? What happens if the price drops after I buy?
? Do you have a low price guarantee?
?! Another store sells this for less; will you lower yours?
?! Will you beat a rival's offer?
= within {dur1}, extra {pct1} off
! We match lower prices within {dur1} of purchase.
! Price match is available for {dur1} after you buy.
+ You also get an extra {pct1} off.
+ Show us the lower price at {url1}.
# policy: cancellation / order cancellation / cancelling an order
? [I|We] ordered [by mistake|twice|the wrong thing]. [What now|Can you stop it|Can it be undone]?
? Can [an order|my purchase] be [undone|stopped|withdrawn|called back|taken back]?
? I [don't want|no longer need|changed my mind about] [my order|what I ordered]. [Can it be stopped|What now|What can I do]?
? How [late|soon|fast|quickly] [can|must] I [cancel|stop my order]?
? Does [cancelling|a cancellation|stopping an order] cost [anything|money|something]?
? Until when [can|may] I [stop|withdraw|cancel] [it|an order]?
? Please [stop|cancel] my order. Is that [free|still possible]?
? [Can|How do|May] I cancel my order?
? How long do I have to cancel?
? I changed my mind about my order. Can I [stop|cancel] it?
? What is the cancellation policy?
? Is there a cancellation fee?
?! I don't want the order any more. Is it too late?
?! By when must an order be called off?
= within {dur1}
! Orders can be cancelled within {dur1}.
! You may cancel within {dur1} of ordering.
! You can cancel free of charge for {dur1}.
+ After that a fee of {money1} applies.
+ Call {phone1} to cancel.
# money: international shipping / shipping abroad / international delivery / overseas shipping
? Do you [send|post|mail] [parcels|goods|things] to [other|foreign|many] countries?
? I [am|live] in [another country|Canada|Spain|Japan|a foreign country]. [Can I order|Do you ship here|Will you send it]?
? What [do|would|will] I pay [for|to] [sending it abroad|ship to another country|a parcel to a foreign country]?
? How [long|many days] does [a parcel|an order|delivery] [abroad|to another country|to a foreign country|overseas] take?
? Is [a foreign address|an address abroad|delivery to another country] [possible|fine|okay|all right]?
? To [which|how many] [countries|parts of the world|places in the world] do you [send|deliver|ship]?
? Can [people|customers] from [abroad|other countries|all over the world] [order|buy]?
? Do you [ship|deliver|send] [abroad|internationally|overseas|to other countries]?
? Which countries do you ship to?
? How many countries do you deliver to?
? What does shipping to another country cost?
? I live abroad. Can I order?
?! Can you send a package outside the country?
?! Do parcels go to foreign addresses?
= {n1} countries, {range1}, from {money1}
! We ship to {n1} countries.
! International shipping goes to {n1}+ countries and takes {range1}.
! We deliver to more than {n1} countries from {money1}.
+ It takes {range1}.
+ Prices start from {money1}.
+ International express starts from {money2}.
+ It is free for orders over {big1}.
# policy: damaged items / damage reports / broken items / defective products
? [There is|I found] a [hole|scratch|fault|tear|dent] in [it|the product|the item|my order].
? [It|The glass|The box|My item|The product] [was|is|came|arrived] [broken|cracked|in pieces|damaged|faulty|scratched]. [What now|Whom do I tell|What do I do]?
? [Who|Where] do I [tell|write to|contact] about [damage|a broken product|a fault]?
? How do I [make a claim|complain|get a new one] [about|for|after] [damage|a broken item|a defect]?
? Something [broke|was broken|got damaged] [on the way|in the mail|during transport].
? I opened the [box|parcel|package] and [it|the item|everything] was [broken|damaged|in pieces].
? What happens [if|when] [goods|products|things] are [faulty|broken|damaged]?
? My [item|order|parcel] arrived [damaged|broken|defective]. What [now|should I do]?
? What if my order is damaged?
? How do I report damage?
? The product I got is broken. Can you help?
? How fast do you answer a damage report?
?! There's a crack in what you sent me. Whom do I tell?
?! Something was smashed in the box. What next?
= within {dur1}, {email1}
! Send a photo of the damage to {email1}.
! Report damage at {url1} and we answer within {dur1}.
! We answer damage reports within {dur1}.
+ We send a replacement within {range1}.
+ Please report it within {dur2}.
# list: payment methods / payment options / ways to pay
? How [may|do|should|would] I [pay|settle|pay you|pay the bill|pay my bill]?
? [Which|What] [payment services|cards|kinds of payment] [do you take|are possible|work|are there]?
? Do you [take|accept|allow] [cards|debit cards|cash|cheques|a bank card|transfers]?
? Is it [possible|okay|all right] to pay [by|with] [a debit card|a bank card|cash|an invoice|my phone]?
? What [can|do] I use to pay?
? [In|With] [which|what] [way|ways|form] can [the bill|an order] be paid?
? [How can I pay|What payment methods do you accept|Which cards do you take]?
? Do you accept [credit cards|PayPal|bank transfer|cash]?
? Can I pay [by card|with PayPal|in instalments]?
? What forms of payment are accepted?
?! Which ways of paying do you have?
?! Is paying with a card possible?
= {pay1}
! We accept {pay1}.
! You can pay with {pay1}.
! Payment is possible by {pay1}.
+ Instalments are available from {big1}.
+ Invoices are due within {dur1}.
# how: order tracking / tracking / parcel tracking
? How [will|do|can] I [know|find out|see|check] where my [order|parcel|package|shipment|delivery] is?
? My [order|parcel] [has not come|hasn't arrived|is late|is missing]. [Where is it|How do I look|What can I do]?
? Is there a [page|site|number|way] [to follow|to see|that shows] [my order|my delivery|the status]?
? What is the [status|state|progress] of my [order|delivery|parcel|shipment]?
? How do I [follow|look up|check|watch] [an order|a shipment|my parcel]?
? What do I need [for tracking|to follow my order]?
? I am [still |]waiting for my [order|parcel]. Where can I look?
? [Where is|How do I track] my [order|package|parcel]?
? Can I [follow|track] my [delivery|shipment]?
? How do I get a tracking number?
? When will I receive tracking details?
? Has my order shipped yet?
?! How can I see where my package is right now?
?! Is it possible to watch my parcel's progress?
= {url1}
! Track your order at {url1}.
! You get a tracking number by e-mail within {dur1}.
! Enter your order number at {url1} to see where it is.
+ Tracking starts {dur1} after dispatch.
+ For help call {phone1}.
# policy: address changes / a change of address / changing the delivery address
? [I|We] [moved|have moved|are moving|live somewhere else now]. [What about my order|Where will it go|Can you send it there]?
? The address is [wrong|old|not right|out of date]. [What now|Can you fix it|What do I do]?
? Can you [send|ship|deliver] [it|my order|the parcel] to [a new|another|a different|my new] [address|place|house|home]?
? How do I [correct|fix|update] [my|the|a wrong] address?
? There is a mistake in my address. [Help|What now|How do I correct it]?
? Is it [possible|too late] to [change|correct] [where it goes|the address|the place of delivery]?
? Until when [can|may] [my|the] [parcel|order] be sent [elsewhere|to another place]?
? [Can|How do] I change [my|the] [delivery |shipping |]address?
? I entered the wrong address. What can I do?
? I'm moving. Can my order go to my new home?
? Until when can I change the address?
?! My parcel should go to a different house. Is that still possible?
?! Please correct the destination of my order.
= within {dur1}, {email1}
! You can change the address within {dur1} of ordering.
! Write to {email1} to change your address.
! Change your address in your account at {url1}.
+ After that the change costs {money1}.
+ Call {phone1} if the order has shipped.
"""
